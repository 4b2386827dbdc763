"""The calls of a controller and their replies; both outlive the stream that carries them."""

import asyncio
import sys
import traceback
from typing import Protocol

import msgspec

from pytest_meshcheck.probe.agent.dispatcher import Dispatcher
from pytest_meshcheck.probe.protocol.framing import framed, next_message
from pytest_meshcheck.probe.protocol.messages import Call, Failed, Request, Return, Serve


class Writer(Protocol):
    """The sending end of a stream."""

    def write(self, data: bytes) -> None:
        """Send bytes, now or soon."""

    def close(self) -> None:
        """End the stream."""

    def is_closing(self) -> bool:
        """Whether it has ended, or is about to."""


class ControlSession:
    """Carries out commands, each in a task of its own and each once, however often its call arrives.

    A reply is kept until the controller says, by a later call, that it has it: where a stream breaks, the controller
    sends the calls again that it has no reply to, over the next stream.
    """

    def __init__(self, first: Request | None = None) -> None:
        """To be made while the event loop runs that commands are carried out in; ``first`` is sent at once."""
        self._dispatcher = Dispatcher(first)
        self._dispatcher.pulse.begin()
        self.asked_to_end = self._dispatcher.asked_to_end
        self._replies: dict[int, bytes] = {}
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._writer: Writer | None = None

    async def serve(self, command: Serve) -> None:
        """Open ports before there is a controller; a port that cannot be opened is reported when one asks for it."""
        await self._dispatcher.obey(command)

    async def over(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        """Go on over this stream until it ends, in place of the stream before."""
        if self._writer is not None:
            self._writer.close()
        self._writer = writer
        decoder = msgspec.msgpack.Decoder(Call)
        while (call := await next_message(reader, decoder)) is not None:
            self._take(call)

    def forget(self) -> None:
        """Another controller begins, which counts its calls from one: forget the previous controller's calls."""
        for task in self._under_way.values():
            task.cancel()
        self._under_way.clear()
        self._replies.clear()

    def _take(self, call: Call) -> None:
        for number in [number for number in self._replies if number < call.settled]:
            del self._replies[number]
        if call.number in self._replies:
            self._send(self._replies[call.number])
        elif call.number not in self._under_way:
            self._under_way[call.number] = asyncio.create_task(self._carry_out(call))

    async def _carry_out(self, call: Call) -> None:
        try:
            answer = await self._dispatcher.obey(call.command)
        except Exception as error:  # noqa: BLE001  A defect of the probe must reach the controller, not end the others.
            traceback.print_exc(file=sys.stderr)
            answer = Failed(f"{type(call.command).__name__}: {error!r}")
        self._replies[call.number] = framed(Return(call.number, answer, self._dispatcher.pulse.longest))
        self._under_way.pop(call.number, None)
        self._send(self._replies[call.number])

    def _send(self, reply: bytes) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(reply)
