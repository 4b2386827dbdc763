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
from pytest_meshcheck.model.polls import Polls
from pytest_meshcheck.model.workload_spec import Address, Resolver, Via, WorkloadSpec
from pytest_meshcheck.probe.controller import Probe, ProbeLost
from pytest_meshcheck.probe.protocol import messages as m

R = TypeVar("R", bound=msgspec.Struct)


PATIENCE = 10.0
"""Seconds, before the timeout scale, after which a workload gives a request up."""

LONG = 10.0
"""The time for which a port is closed that is opened again by hand, as a multiple of the patience with a request."""

LATE = 0.3
"""The maximum delay of a request behind the schedule of a load, as a fraction of the patience with a request."""


def new_id() -> str:
    """A request id that no other run uses."""
    return secrets.token_hex(6)


@dataclass
class Stream:
    """A long-lived stream from a client to a server."""

    client: "Workload"
    request_id: str

    async def echo(self, length: int = 64, *, idle: float = 0.0) -> m.Exchange:
        """Leave the stream alone for a number of seconds, then send bytes and wait for their echo."""
        body = m.Body(length=length, seed=1)
        patience = self.client.patience
        return await self.client.exchange(
            m.EchoOnStream(request_id=self.request_id, body=body, idle=idle, patience=patience)
        )


BeforeCall = Callable[["Workload | None", "Workload", str], Awaitable[None]]
"""Awaited before a caller calls a server's port or, without a caller, before that port is closed to all."""


async def no_wait(_caller: "Workload | None", _server: "Workload", _port: str) -> None:
    """Do not wait."""


@dataclass
class Workload:
    """A running probe with a service account.

    Attributes:
        spec: The specification.
        probe: The control connection to its probe.
        journal: The journal of its observations.
        resolve: The addresses that it dials.
        instance: Identifies the replica in ledgers.
        loads: The loads that it sends at present.
        arrived: The length of its ledger before each TCP request, by request id; later anonymous connections are
            attributed to that request.
        before_call: Awaited before each call for a check, except for handshakes without a certificate, and before the
            workload stops serving.
        polls: The polls that involve it.
        unreached: The data plane and the workload that it did not come to reach when this one started; empty if all
            reached each other.
    """

    spec: WorkloadSpec
    probe: Probe = field(repr=False)
    journal: Journal = field(repr=False)
    resolve: Resolver = field(repr=False)
    instance: str
    patience: float = PATIENCE
    loads: list[Load] = field(default_factory=list, compare=False, repr=False)
    arrived: dict[str, int] = field(default_factory=dict, compare=False, repr=False)
    before_call: BeforeCall = field(default=no_wait, compare=False, repr=False)
    polls: Polls = field(default_factory=Polls, compare=False, repr=False)
    unreached: str = ""

    @property
    def namespace(self) -> str:
        """The namespace's name."""
        return self.spec.namespace

    @property
    def name(self) -> str:
        """The common name of workload and service."""
        return self.spec.name

    def __str__(self) -> str:
        return str(self.spec)

    def replace_with(self, new_instance: "Workload") -> "Workload":
        """Continue as another instance of the same workload; returns the previous instance."""
        before = replace(self, loads=[])
        self.probe, self.instance, self.arrived = new_instance.probe, new_instance.instance, {}
        return before

    async def get(self, server: "Workload", port: str = "http", via: Via = Via.SERVICE, **request: Any) -> m.Exchange:
        """Send one request, by default GET / over HTTP/1.1; keywords are the fields of ``messages.Request``.

        The protocol follows the port, e.g. HTTP/1.1, a unary gRPC call, or a line over TCP that is echoed.
        """
        await self.before_call(self, server, port)
        sent = self.request(server, port, via, **request)
        if not sent.protocol.facts.is_http:
            seen = await server.ask(m.ReadLedger(request_id=sent.request_id), m.Ledger)
            server.arrived[sent.request_id] = seen.arrived
        return await self.exchange(m.Send(request=sent), server)

    def request(self, server: "Workload", port: str = "http", via: Via = Via.SERVICE, **fields: Any) -> m.Request:
        """The request that ``get`` would send; ValueError where its protocol is none of ``Protocol``."""
        address = fields.pop("address", None) or self.resolve(self.spec, server.spec, port, via)
        return self.request_to(server.spec, address, port, **fields)

    def request_to(self, server: WorkloadSpec, address: Address, port: str = "http", **fields: Any) -> m.Request:
        """The same to a workload that may not have started, at its address."""
        declared = server.port(port)
        defaults: dict[str, Any] = {
            "request_id": new_id(),
            "address": address,
            "server_first": declared.server_first,
            "authority": server.authority,
            "patience": self.patience,
        }
        if path := declared.protocol.facts.paths.get(fields.get("kind", "unary")):
            defaults["path"] = path
        spoken = m.Protocol(fields.pop("protocol", declared.protocol))
        return m.Request(protocol=spoken, **(defaults | fields))

    async def first_exchange(self) -> m.Exchange:
        """The exchange that its application has made when it started, by its ``spec.first_call``.

        Raises:
            Inconclusive: It was to make none.
        """
        if self.spec.first_call is None:
            raise Inconclusive(f"{self} was started without a first call")
        return await self.exchange(m.FirstExchange(), self.spec.first_call.server)

    async def post(self, server: "Workload", body: m.Body, port: str = "http", **request: Any) -> m.Exchange:
        """Send one POST with a body."""
        return await self.get(server, port, method="POST", body=body, **request)

    async def in_two_parts(
        self, server: "Workload", until: Awaitable[object], port: str = "http", **request: Any
    ) -> m.Exchange:
        """Send one request that stops at ``pause_after``, and its rest when ``until`` has returned or it has ended.

        Args:
            server: Whom to send it to.
            until: What to wait for, such as ``server.wait_for_attempts(...)``.
            port: The name of the server's port.
            request: As for ``get``; ``request_id`` is needed.
        """
        try:
            await self.before_call(self, server, port)  # may outlast the patience of ``until``
        except BaseException:
            asyncio.ensure_future(until).cancel()
            raise
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

    @asynccontextmanager
    async def kept_connection(self) -> AsyncIterator[str]:
        """The name of a connection for several requests, for ``get(..., connection=...)``; closed after the block.

        The first request dials it. Over h2c its requests are streams of one connection, over HTTP/1.1 they take turns.
        """
        name = new_id()
        try:
            yield name
        finally:
            await self.ask(m.CloseConnection(name), m.Done)

    async def handshake(self, address: Address, tls: m.ClientTls, server: "Workload | None" = None) -> m.Exchange:
        """Make a TLS handshake only; the exchange has the alert and the peer's chain. ``server`` is for the journal."""
        request = m.Request(
            request_id=new_id(), address=address, protocol=m.Protocol.TLS, tls=tls, patience=self.patience
        )
        return await self.exchange(m.Send(request=request), server)

    async def exchange(self, command: m.Command, server: "Workload | WorkloadSpec | None" = None) -> m.Exchange:
        """Have the probe make an exchange, and record it."""
        reply = await self.ask(command, m.Exchanged)
        self.journal.add("exchange", f"{self} -> {server or 'address'}", reply.exchange)
        return reply.exchange

    async def answers(self, *answers: m.Answer | int, repeat: bool = False, request_id: str = "") -> str:
        """Script the answers to one request, attempt by attempt; a status stands for an answer. Returns the request id.

        Attempts beyond the list get 200, or with ``repeat`` the last answer of the list. Pass an id to script several
        workloads for the same request.
        """
        request_id = request_id or new_id()
        script = tuple(answer if isinstance(answer, m.Answer) else status(answer) for answer in answers)
        await self.ask(m.SetScript(request_id=request_id, answers=script, repeat=repeat), m.Done)
        return request_id

    async def closes(self, port: str, seconds: float) -> None:
        """Close a port for this number of seconds: its connections are closed, new ones refused."""
        await self.before_call(None, self, port)
        await self.ask(m.CloseListener(port=port, seconds=seconds), m.Done)

    @asynccontextmanager
    async def closed(self, port: str) -> AsyncIterator[None]:
        """Keep a port closed while the block runs."""
        await self.closes(port, LONG * self.patience)
        try:
            yield
        finally:
            await self.closes(port, 0.0)

    async def attempts(self, exchange: m.Exchange | str) -> tuple[m.Attempt, ...]:
        """The attempts of an exchange or a request id that reached this application.

        For an exchange over TCP, later connections without an id count as well.
        """
        request_id = exchange if isinstance(exchange, str) else exchange.request_id
        attempts = (await self.ask(m.ReadLedger(request_id=request_id), m.Ledger)).attempts
        if request_id in self.arrived:
            since = await self.ask(m.ReadLedger(since=self.arrived[request_id]), m.Ledger)
            attempts += tuple(attempt for attempt in since.attempts if not attempt.request_id)
        self.journal.add("attempts", f"{self}", attempts)
        return attempts

    async def wait_for_attempts(
        self, request_id: str, count: int = 1, *, ended: bool = False, patience: float | None = None
    ) -> tuple[m.Attempt, ...]:
        """Wait until ``count`` attempts have arrived (``ended``: have ended); after its patience it returns fewer."""
        command = m.AwaitAttempt(request_id=request_id, count=count, ended=ended, patience=patience or self.patience)
        attempts = (await self.ask(command, m.Ledger)).attempts
        self.journal.add("attempts", f"{self}", attempts)
        return attempts

    @asynccontextmanager
    async def load(self, server: "Workload", rate: float, port: str = "http", **request: Any) -> AsyncIterator[Load]:
        """Open-loop load on a server while the block runs, with ``rate`` requests per second; joined at its end."""
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
            self.journal.add("load", f"{self} -> {server}, {port}", await load.finish())

    async def attempts_of(self, load: Load) -> tuple[m.Attempt, ...]:
        """The attempts of a load that have reached this application so far."""
        return await self.attempts_under(f"{load.request_id}-")

    async def attempts_under(self, prefix: str) -> tuple[m.Attempt, ...]:
        """The attempts, so far, of all requests whose ids begin with this.

        Raises:
            Inconclusive: There were more attempts since than the ledger keeps.
        """
        ledger = await self.ask(m.ReadLedger(request_id=prefix, prefix=True), m.Ledger)
        if ledger.forgotten:
            raise Inconclusive(f"the ledger of {self} has overflowed: attempts of {prefix.rstrip('-')} were dropped")
        return ledger.attempts

    @asynccontextmanager
    async def stream(self, server: "Workload", port: str = "tcp", **request: Any) -> AsyncIterator[Stream]:
        """A stream that echoes, kept open while the block runs, e.g. a TCP connection or a bidirectional gRPC call."""
        await self.before_call(self, server, port)
        opening = self.request(server, port, **({"kind": "bidi"} | request))
        opened = await self.exchange(m.OpenStream(request=opening), server)
        if opened.ending is not m.Ending.ANSWERED:
            raise Inconclusive(f"the stream from {self} to {server} did not open: {opened.ending} {opened.detail}")
        try:
            yield Stream(self, opening.request_id)
        finally:
            await self.ask(m.CloseStream(request_id=opening.request_id), m.Done)

    async def ask(self, command: m.Command, expected: type[R]) -> R:
        """Send a command to the probe; Inconclusive if the probe is lost or cannot do it."""
        try:
            reply = await self.probe.call(command)
        except ProbeLost as lost:
            raise Inconclusive(f"the probe of {self} is gone: {lost}") from lost
        if not isinstance(reply, expected):
            raise Inconclusive(f"the probe of {self} could not do {type(command).__name__}: {reply}")
        return reply


def first_request(caller: WorkloadSpec, resolve: Resolver, patience: float) -> m.Request | None:
    """The request of the first call of a workload that is about to start; None without one."""
    if (call := caller.first_call) is None:
        return None
    address = resolve(caller, call.server, call.port, Via.SERVICE)
    return m.Request(request_id=new_id(), address=address, authority=call.server.authority, patience=patience)


def spec_of(target: Named) -> WorkloadSpec:
    """The specification of a policy's target; TypeError if it is not a workload, and so has no ports."""
    if isinstance(target, WorkloadSpec):
        return target
    if isinstance(target, Workload):
        return target.spec
    raise TypeError(f"a policy for single ports needs a workload as target, not {target!r}")


def status(code: int) -> m.Answer:
    """An answer with this status, which its body repeats."""
    return m.Answer(status=code, body=m.Body(text=f"scripted {code}\n"))
