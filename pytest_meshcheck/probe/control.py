"""The controller's end of a probe: calls over a byte stream, replies in any order."""

import asyncio
from itertools import count

import msgspec

from pytest_meshcheck.probe.framing import framed, next_message
from pytest_meshcheck.probe.messages import Call, Command, Reply, Return


class ProbeLost(Exception):
    """The probe ended, or its stream broke."""


class Probe:
    """A running probe. To be used from the event loop that made it; made with ``Probe.over``."""

    def __init__(self, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> None:
        self._writer = writer
        self._reader = reader
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._lost: str | None = None
        self._listener: asyncio.Task[None] | None = None

    @classmethod
    def over(cls, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> "Probe":
        """Speak to the probe whose standard input is ``writer`` and whose standard output is ``reader``.

        Needs a running event loop.
        """
        probe = cls(writer, reader)
        probe._listener = asyncio.create_task(probe._listen())
        return probe

    async def call(self, command: Command) -> Reply:
        """Send a command and wait for its reply. A caller may be cancelled at any time.

        Raises:
            ProbeLost: The probe ended before it replied.
        """
        if self._lost is not None:
            raise ProbeLost(self._lost)
        number = next(self._numbers)
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[number] = reply
        try:
            self._writer.write(framed(Call(number, command)))
            return await reply
        finally:
            del self._waiting[number]

    async def close(self) -> None:
        """End the stream, which ends the probe, and wait until its own end is closed.

        Callers under way get ``ProbeLost``.
        """
        if not self._writer.is_closing():
            self._writer.close()
        if self._listener is not None:
            await asyncio.wait({self._listener})

    async def _listen(self) -> None:
        why = "its stream ended"
        try:
            await self._distribute()
        except (OSError, asyncio.IncompleteReadError, msgspec.DecodeError) as broken:
            why = f"its stream broke: {broken!r}"
        except asyncio.CancelledError:
            why = "the controller's event loop ended"
            raise
        finally:
            self._lose(why)

    async def _distribute(self) -> None:
        decoder = msgspec.msgpack.Decoder(Return)
        while (message := await next_message(self._reader, decoder)) is not None:
            waiting = self._waiting.get(message.number)
            if waiting is not None and not waiting.done():
                waiting.set_result(message.reply)

    def _lose(self, why: str) -> None:
        self._lost = why
        self._writer.close()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ProbeLost(why))
