"""The controller's end of a probe: calls over a byte stream, replies in any order."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from itertools import count
from typing import TypeVar

import msgspec

from pytest_meshcheck.probe.agent.control_session import Writer
from pytest_meshcheck.probe.process.own_loop import OwnLoop
from pytest_meshcheck.probe.protocol.framing import framed, next_message
from pytest_meshcheck.probe.protocol.messages import Call, Command, Hello, Reply, Return, Welcome

REDIAL = 30.0
"""Seconds within which a stream is made or replaced, or the probe is lost: a busy kubelet refuses some."""

PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds between the attempts; the last one from then on."""

ControlStream = tuple[asyncio.StreamReader, Writer]
Dial = Callable[[], Awaitable[ControlStream]]
"""Makes a stream to a probe's socket; OSError if that may still succeed, ProbeLost if it never will."""
Dialled = TypeVar("Dialled")


class ProbeLost(Exception):
    """The probe ended, or its stream broke."""


class Probe:
    """A running probe. To be used from the event loop that made it; made with ``Probe.over`` or ``Probe.at``.

    Attributes:
        longest: For how many seconds at a stretch it could not react, at most, as its newest reply says.
    """

    def __init__(self, writer: Writer, reader: asyncio.StreamReader) -> None:
        self.longest = 0.0
        self._writer = writer
        self._reader = reader
        self._loop = OwnLoop()
        self._numbers = count(1)
        self._waiting: dict[int, tuple[Call, asyncio.Future[Reply]]] = {}
        self._lost: str | None = None
        self._closing = False
        self._listener: asyncio.Task[None] | None = None
        self._redial: Callable[[], Awaitable[ControlStream]] | None = None
        self._broken: str | None = None
        self._settled = asyncio.Event()
        self._settled.set()

    @classmethod
    def over(cls, writer: Writer, reader: asyncio.StreamReader) -> "Probe":
        """Speak to the probe whose standard input is ``writer`` and whose standard output is ``reader``.

        Needs a running event loop.
        """
        probe = cls(writer, reader)
        probe._listener = asyncio.create_task(probe._listen())
        return probe

    @classmethod
    async def at(cls, dial: Dial) -> "Probe":
        """Speak to the probe whose socket ``dial`` leads to. A stream that breaks is replaced, and no reply is lost.

        Raises:
            OSError: There is no way to it.
            ProbeLost: It does not answer as a probe does.
        """
        session = secrets.token_hex(8)
        stream, incarnation = await _patiently(lambda: _greeted(dial, session))
        probe = cls(stream[1], stream[0])
        probe._redial = lambda: _greeted_again(dial, session, incarnation)
        probe._listener = asyncio.create_task(probe._listen())
        return probe

    @property
    def trouble(self) -> str | None:
        """Why the probe cannot be reached now; None if it can."""
        return self._lost or self._broken

    @property
    def lost(self) -> bool:
        """Whether the probe can never be spoken to again."""
        return self._lost is not None

    async def settled(self) -> None:
        """Wait until a stream that broke has been replaced, or the probe is lost."""
        await self._settled.wait()

    async def call(self, command: Command) -> Reply:
        """Send a command and wait for its reply. A caller may be cancelled at any time.

        Raises:
            ProbeLost: The probe ended before it replied.
            WrongLoop: It is called from another event loop.
        """
        self._loop.insist()
        if self._lost is not None:
            raise ProbeLost(self._lost)
        number = next(self._numbers)
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        call = Call(number, command, settled=min(self._waiting, default=number))
        self._waiting[number] = call, reply
        try:
            if self._broken is None:
                self._writer.write(framed(call))
            return await reply
        finally:
            del self._waiting[number]

    async def close(self) -> None:
        """End the stream, which ends a child, and wait until its own end is closed.

        Callers under way get ``ProbeLost``.
        """
        self._closing = True
        if self._broken and self._listener is not None:
            self._listener.cancel()
        if not self._writer.is_closing():
            self._writer.close()
        if self._listener is not None:
            await asyncio.wait({self._listener})

    async def _listen(self) -> None:
        why = "its stream ended"
        try:
            while True:
                why = await self._distribute()
                if self._closing or self._redial is None:
                    return
                self._broken = why
                self._settled.clear()
                await self._renew(self._redial)
                self._broken = None
                self._settled.set()
        except (OSError, ProbeLost) as gone:
            why = f"{why}, and {gone}"
        except asyncio.CancelledError:
            why = why if self._closing else "the controller's event loop ended"
            raise
        finally:
            self._lose(why)

    async def _renew(self, redial: Callable[[], Awaitable[ControlStream]]) -> None:
        """Replace the stream and send again what has no reply."""
        self._writer.close()
        self._reader, self._writer = await _patiently(redial)
        for call, _ in self._waiting.values():
            self._writer.write(framed(call))

    async def _distribute(self) -> str:
        """Hand out replies until the stream ends; returns how it ended."""
        decoder = msgspec.msgpack.Decoder(Return)
        try:
            while (message := await next_message(self._reader, decoder)) is not None:
                self.longest = max(self.longest, message.longest)
                _, waiting = self._waiting.get(message.number, (None, None))
                if waiting is not None and not waiting.done():
                    waiting.set_result(message.reply)
        except msgspec.ValidationError as nonsense:  # it would come again over another stream
            raise ProbeLost(f"it sent an invalid reply: {nonsense}") from nonsense
        except (OSError, asyncio.IncompleteReadError, msgspec.DecodeError) as broken:
            return f"its stream broke: {broken!r}"
        return "its stream ended"

    def _lose(self, why: str) -> None:
        self._lost = why
        self._settled.set()
        self._writer.close()
        for _, waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ProbeLost(why))


async def _greeted(dial: Dial, session: str) -> tuple[ControlStream, str]:
    """A stream over which both sides have said who they are, and the incarnation of the probe."""
    reader, writer = await dial()
    writer.write(framed(Hello(session)))
    try:
        welcome = await next_message(reader, msgspec.msgpack.Decoder(Welcome))
    except (asyncio.IncompleteReadError, msgspec.DecodeError) as broken:
        writer.close()
        raise ConnectionError(f"the probe was not heard: {broken!r}") from broken
    if welcome is None:
        writer.close()
        raise ConnectionError("the stream ended before the probe was heard")
    return (reader, writer), welcome.incarnation


async def _greeted_again(dial: Dial, session: str, expected: str) -> ControlStream:
    stream, incarnation = await _greeted(dial, session)
    if incarnation != expected:
        stream[1].close()
        raise ProbeLost("it was restarted meanwhile, and has lost its observations")
    return stream


async def _patiently(dial: Callable[[], Awaitable[Dialled]]) -> Dialled:
    until = asyncio.get_running_loop().time() + REDIAL
    for attempt in count():
        try:
            return await dial()
        except OSError:
            if asyncio.get_running_loop().time() > until:
                raise
        await asyncio.sleep(PAUSES[min(attempt, len(PAUSES) - 1)])
    raise AssertionError("unreachable")
