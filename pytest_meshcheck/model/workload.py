"""Running workloads, as checks use them."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import msgspec

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.load import Load
from pytest_meshcheck.model.policy import Named
from pytest_meshcheck.model.workload_spec import Address, Resolver, Via, WorkloadSpec
from pytest_meshcheck.probe.controller import Probe, ProbeLost
from pytest_meshcheck.probe.protocol import messages as m

R = TypeVar("R", bound=msgspec.Struct)


LATE = 0.3
"""The part of the patience with a request by which it may be sent late before a load is given up."""

UNARY_PATH = "/meshcheck.Probe/Unary"
KIND_PATHS = {
    "unary": UNARY_PATH,
    "client-stream": "/meshcheck.Probe/ClientStream",
    "server-stream": "/meshcheck.Probe/ServerStream",
    "bidi": "/meshcheck.Probe/Bidi",
}


def new_id() -> str:
    """A request id that no other run uses."""
    return secrets.token_hex(6)


@dataclass
class Stream:
    """A long-lived stream from a client to a server."""

    client: "Workload"
    request_id: str

    async def echo(self, length: int = 64) -> m.Exchange:
        """Send bytes and wait for their echo."""
        return await self.client.exchange(
            m.EchoOnStream(request_id=self.request_id, body=m.Body(length=length, seed=1))
        )


BeforeCall = Callable[["Workload | None", "Workload", str], Awaitable[None]]
"""What to await before a caller calls a server's port, or, with None, before that port is closed to all callers."""


async def at_once(_caller: "Workload | None", _server: "Workload", _port: str) -> None:
    """Nothing has to be waited for."""


@dataclass
class Workload:
    """A running probe with a service account.

    Attributes:
        spec: What was asked for.
        probe: The control connection to its probe.
        journal: Where everything that it sees is written down.
        resolve: Where it dials.
        instance: Identifies the replica in ledgers.
        loads: What it sends at this moment.
        arrived: How many attempts had reached it before a request of some id, whose connections may say none, was made.
        before_call: Awaited before it sends anything that a check asks for, except for handshakes without a
            certificate, and before it stops serving.
    """

    spec: WorkloadSpec
    probe: Probe
    journal: Journal
    resolve: Resolver
    instance: str
    patience: float = 10.0
    loads: list[Load] = field(default_factory=list, compare=False, repr=False)
    arrived: dict[str, int] = field(default_factory=dict, compare=False, repr=False)
    before_call: BeforeCall = field(default=at_once, compare=False, repr=False)

    @property
    def namespace(self) -> str:
        """The namespace's name."""
        return self.spec.namespace

    @property
    def name(self) -> str:
        """The name of workload and service."""
        return self.spec.name

    def __str__(self) -> str:
        return str(self.spec)

    def become(self, successor: "Workload") -> "Workload":
        """Go on as another instance of the same workload; returns what it was until now."""
        before = replace(self, loads=[])
        self.probe, self.instance, self.arrived = successor.probe, successor.instance, {}
        return before

    async def get(self, server: "Workload", port: str = "http", via: Via = Via.SERVICE, **request: Any) -> m.Exchange:
        """Send one request, by default GET / over HTTP/1.1; keywords are the fields of ``messages.Request``.

        The protocol follows the port: HTTP/1.1, a unary gRPC call, or a line over TCP that is echoed.
        """
        await self.before_call(self, server, port)
        sent = self.request(server, port, via, **request)
        if sent.protocol is m.Protocol.TCP:
            seen = await server.ask(m.ReadLedger(request_id=sent.request_id), m.Ledger)
            server.arrived[sent.request_id] = seen.arrived
        return await self.exchange(m.Send(request=sent), server)

    def request(self, server: "Workload", port: str = "http", via: Via = Via.SERVICE, **fields: Any) -> m.Request:
        """The request that ``get`` would send."""
        declared = server.spec.port(port)
        defaults: dict[str, Any] = {
            "request_id": new_id(),
            "address": self.resolve(self.spec, server.spec, port, via),
            "protocol": declared.protocol,
            "server_first": declared.server_first,
            "authority": server.spec.authority,
            "patience": self.patience,
        }
        if declared.protocol is m.Protocol.GRPC:
            defaults["path"] = KIND_PATHS[fields.get("kind", "unary")]
        return m.Request(**(defaults | fields))

    async def post(self, server: "Workload", body: m.Body, port: str = "http", **request: Any) -> m.Exchange:
        """Send one POST with a body."""
        return await self.get(server, port, method="POST", body=body, **request)

    async def in_two_parts(
        self, server: "Workload", until: Awaitable[object], port: str = "http", **request: Any
    ) -> m.Exchange:
        """Send one request that stops at ``pause_after``, and its rest when ``until`` has returned or it has ended.

        Args:
            server: Whom to send it to.
            until: What to wait for, such as ``server.sees(...)``.
            port: The name of the server's port.
            request: As for ``get``; ``request_id`` is needed.
        """
        sending = asyncio.ensure_future(self.get(server, port, **request))
        waiting = asyncio.ensure_future(until)
        try:
            await asyncio.wait({sending, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                await waiting
            await self.ask(m.Resume(request_id=request["request_id"]), m.Done)
            return await sending
        finally:
            sending.cancel()
            waiting.cancel()

    async def handshake(self, address: Address, tls: m.ClientTls) -> m.Exchange:
        """Make only a TLS handshake; the exchange has the alert and the peer's chain."""
        request = m.Request(
            request_id=new_id(), address=address, protocol=m.Protocol.TLS, tls=tls, patience=self.patience
        )
        return await self.exchange(m.Send(request=request))

    async def exchange(self, command: m.Command, server: "Workload | None" = None) -> m.Exchange:
        """Have the probe make an exchange and write it down."""
        reply = await self.ask(command, m.Exchanged)
        self.journal.add("exchange", f"{self} -> {server or 'address'}", reply.exchange)
        return reply.exchange

    async def answers(self, *answers: m.Answer | int, repeat: bool = False, request_id: str = "") -> str:
        """Script the answers to one request, attempt by attempt; statuses stand for answers. Returns the request's id.

        Attempts beyond the list get 200, or with ``repeat`` the last of the list. An id may be given that other
        workloads know the request by as well.
        """
        request_id = request_id or new_id()
        script = tuple(answer if isinstance(answer, m.Answer) else status(answer) for answer in answers)
        await self.ask(m.SetScript(request_id=request_id, answers=script, repeat=repeat), m.Done)
        return request_id

    async def closes(self, port: str, seconds: float) -> None:
        """Stop serving a port, and serve it again after so many seconds; connections are closed, new ones refused."""
        await self.before_call(None, self, port)
        await self.ask(m.CloseListener(port=port, seconds=seconds), m.Done)

    async def saw(self, exchange: m.Exchange | str) -> tuple[m.Attempt, ...]:
        """The attempts of an exchange, or of a request id, that reached this application.

        For an exchange over TCP, connections that arrived since and never said an id count as well.
        """
        request_id = exchange if isinstance(exchange, str) else exchange.request_id
        attempts = (await self.ask(m.ReadLedger(request_id=request_id), m.Ledger)).attempts
        if request_id in self.arrived:
            since = await self.ask(m.ReadLedger(since=self.arrived[request_id]), m.Ledger)
            attempts += tuple(attempt for attempt in since.attempts if not attempt.request_id)
        self.journal.add("attempts", f"{self}", attempts)
        return attempts

    async def sees(
        self, request_id: str, count: int = 1, *, ended: bool = False, patience: float | None = None
    ) -> tuple[m.Attempt, ...]:
        """Wait until ``count`` attempts have arrived, with ``ended`` have ended; what there is when patience ends."""
        command = m.AwaitAttempt(request_id=request_id, count=count, ended=ended, patience=patience or self.patience)
        attempts = (await self.ask(command, m.Ledger)).attempts
        self.journal.add("attempts", f"{self}", attempts)
        return attempts

    @asynccontextmanager
    async def load(self, server: "Workload", rate: float, port: str = "http", **request: Any) -> AsyncIterator[Load]:
        """Open-loop load on a server while the block runs, ``rate`` requests per second; afterwards joined."""
        await self.before_call(self, server, port)
        template = self.request(server, port, **request)
        plan = m.LoadPlan(request_id=new_id(), template=template, rate=rate, late=LATE * self.patience)
        load = Load(plan, [server])
        await load.begin(self)
        self.loads.append(load)
        try:
            yield load
        finally:
            self.loads.remove(load)
            self.journal.add("load", f"{self} -> {server}, {port}", await load.finish(self))

    async def saw_of(self, load: Load) -> tuple[m.Attempt, ...]:
        """The attempts of a load that reached this application until now."""
        command = m.ReadLedger(request_id=f"{load.request_id}-", prefix=True)
        return (await self.ask(command, m.Ledger)).attempts

    @asynccontextmanager
    async def stream(self, server: "Workload", port: str = "tcp", **request: Any) -> AsyncIterator[Stream]:
        """A stream that is kept open while the block runs: TCP echo, or bidirectional gRPC."""
        kind = {"kind": "bidi"} if server.spec.port(port).protocol is m.Protocol.GRPC else {}
        await self.before_call(self, server, port)
        opening = self.request(server, port, **(kind | request))
        opened = await self.exchange(m.OpenStream(request=opening), server)
        if opened.ending is not m.Ending.ANSWERED:
            raise Inconclusive(f"the stream from {self} to {server} did not open: {opened.ending} {opened.detail}")
        try:
            yield Stream(self, opening.request_id)
        finally:
            await self.ask(m.CloseStream(request_id=opening.request_id), m.Done)

    async def ask(self, command: m.Command, expected: type[R]) -> R:
        """Send a command to the probe; a lost probe, or one that cannot do it, is inconclusive."""
        try:
            reply = await self.probe.call(command)
        except ProbeLost as lost:
            raise Inconclusive(f"the probe of {self} is gone: {lost}") from lost
        if not isinstance(reply, expected):
            raise Inconclusive(f"the probe of {self} could not do {type(command).__name__}: {reply}")
        return reply


def spec_of(target: Named) -> WorkloadSpec:
    """The plan of what a policy is about; TypeError where that is no workload, so that its ports are not known."""
    if isinstance(target, WorkloadSpec):
        return target
    if isinstance(target, Workload):
        return target.spec
    raise TypeError(f"a policy for single ports is about a workload, not about {target!r}")


def status(code: int) -> m.Answer:
    """An answer with this status and a body that names it."""
    return m.Answer(status=code, body=m.Body(text=f"scripted {code}\n"))
