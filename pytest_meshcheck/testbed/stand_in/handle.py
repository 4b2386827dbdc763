"""A stand-in in the hands of a user's own test; its methods are to be awaited, ``blocking`` has the same ones."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_meshcheck.model.load import Load
from pytest_meshcheck.model.workload import LATE, Workload, new_id
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.testbed.stand_in.blocking import BlockingStandIn
from pytest_meshcheck.testbed.stand_in.calls import REQUEST_ID, Sender
from pytest_meshcheck.testbed.stand_in.clients import async_client
from pytest_meshcheck.testbed.stand_in.names import workloads_named
from pytest_meshcheck.testbed.trial.stand_ins import StandIns

if TYPE_CHECKING:
    import httpx

    Sent = str | m.Exchange | httpx.Response | httpx.RequestError


@dataclass(frozen=True, eq=False)
class RunningStandIn:
    """The value of ``stand_in("shop/orders")``.

    Attributes:
        name: Its name in reports.
        trial: All of them.
        replicas: Its probes; the first one calls, and all of them are called.
        loop: The event loop that it lives in.
    """

    name: str
    trial: StandIns
    replicas: tuple[Workload, ...]
    loop: asyncio.AbstractEventLoop

    @classmethod
    def named(cls, trial: StandIns, name: str, loop: asyncio.AbstractEventLoop) -> "RunningStandIn":
        """The stand-in of a workload, e.g. ``shop/orders``, or ``outsider`` or ``stranger``.

        Raises:
            UnknownName: There is none of this name.
        """
        return cls(name, trial, workloads_named(trial, name), loop)

    def __str__(self) -> str:
        return self.name

    @property
    def sender(self) -> Sender:
        """The first of its probes, which sends its requests."""
        return Sender(self.name, self.trial, self.replicas[0])

    @cached_property
    def blocking(self) -> BlockingStandIn:
        """The same methods for functions: none of them is to be awaited."""
        return BlockingStandIn(self)

    @cached_property
    def http(self) -> "httpx.AsyncClient":
        """A client whose requests are sent from inside of this stand-in, each once: no retry, no pool, no redirect."""
        return async_client(self.sender)

    async def get(self, url: str, **request: Any) -> m.Exchange:
        """Send one request, by default GET, e.g. to ``payments:8080/pay``; keywords are those of ``messages.Request``.

        The protocol is what the port declares; the host is resolved as in the pod.

        Raises:
            ValueError: It is no such URL.
            UnknownName: No service has this name.
            Inconclusive: The probe is lost.
        """
        return await self.sender.send(self.sender.call(url, **request))

    async def post(self, url: str, body: m.Body | str = "", **request: Any) -> m.Exchange:
        """Send one POST with a body."""
        given = body if isinstance(body, m.Body) else m.Body(text=body)
        return await self.get(url, method="POST", body=given, **request)

    async def answers(self, *answers: m.Answer | int, repeat: bool = False, request_id: str = "") -> str:
        """Script what it answers to one request, attempt by attempt, as ``Workload.answers``; returns the request id.

        The request bears the id: ``get(..., request_id=...)``, or in httpx the header ``x-meshcheck-id``.
        """
        request_id = request_id or new_id()
        for one in self.replicas:
            await one.answers(*answers, repeat=repeat, request_id=request_id)
        return request_id

    async def attempts(self, sent: "Sent") -> tuple[m.Attempt, ...]:
        """The attempts at one request that reached its application, of all replicas.

        Args:
            sent: What ``get`` returned, a response or an error of httpx, or a request id.
        """
        seen = [await one.attempts(request_id_of(sent)) for one in self.replicas]
        return tuple(attempt for attempts in seen for attempt in attempts)

    @asynccontextmanager
    async def load(self, url: str, rate: float, **request: Any) -> AsyncIterator[Load]:
        """Open-loop load on a port of these manifests while the block runs, with ``rate`` requests per second.

        Raises:
            ValueError: It is no such port.
        """
        call, caller = self.sender.call(url, **request), self.replicas[0]
        if call.destination is None:
            raise ValueError(f"{url!r} leads to no stand-in, so that nobody counts what arrives of a load")
        plan = m.LoadPlan(request_id=new_id(), template=call.request, rate=rate, late=LATE * caller.patience)
        everybody = [one for replicas in self.trial.replicas.values() for one in replicas]  # a route may lead anywhere
        load = Load(plan, everybody)
        await load.begin(caller)
        try:
            yield load
        finally:
            caller.journal.add("load", f"{caller} -> {call.destination}", await load.finish())


def request_id_of(sent: "Sent") -> str:
    """The id by which ledgers know a request."""
    if isinstance(sent, str):
        return sent
    return sent.request_id if isinstance(sent, m.Exchange) else str(sent.request.extensions[REQUEST_ID])
