"""The recorders of a probe, by name: relays in the path, and captures of packets."""

import socket
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Protocol

from pytest_meshcheck.probe.capture.outward import OutwardCapture
from pytest_meshcheck.probe.capture.packets import Capture
from pytest_meshcheck.probe.capture.relay_recorder import Recorder
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.probe.protocol.errors import ProbeFault
from pytest_meshcheck.probe.protocol.messages import CaptureResult

BACKLOG = 1024


class Witness(Protocol):
    """What records: a relay, or a capture."""

    def look_for(self, needles: tuple[str, ...]) -> CaptureResult:
        """Which needles were seen so far."""

    def stop(self) -> None:
        """End it."""


@dataclass
class Recorders:
    """The recorders, by their names."""

    _recording: dict[str, Witness] = field(default_factory=dict)

    async def record(self, name: str, listen: tuple[str, int], forward: tuple[str, int]) -> None:
        """Begin to relay and record; ProbeFault where that is not possible."""
        self._refuse_second(name)
        try:
            listener = socket.create_server(
                listen, family=socket.AF_INET6 if ":" in listen[0] else socket.AF_INET, backlog=BACKLOG
            )
        except OSError as error:
            raise ProbeFault(f"recorder {name!r} cannot listen on {listen[0]}:{listen[1]}: {error}") from error
        listener.setblocking(False)
        self._recording[name] = Recorder(listener, forward)

    async def capture(self, command: m.Capture) -> None:
        """Begin to capture packets; ProbeFault where that is not possible."""
        self._refuse_second(command.name)
        capture = self._recording[command.name] = Capture(command.client, command.servers)
        await self._proven(command.name, capture.prove(command.canaries))

    async def capture_outward(self, command: m.CaptureOutward) -> None:
        """Begin to capture packets to and from another node; ProbeFault where that is not possible."""
        self._refuse_second(command.name)
        capture = self._recording[command.name] = OutwardCapture(command.peer, command.pods, command.alone)
        await self._proven(command.name, capture.prove())

    async def _proven(self, name: str, proof: Awaitable[None]) -> None:
        """Wait for the proof that a capture works, and stop it if there is none."""
        try:
            await proof
        except BaseException:
            self.stop(name)
            raise

    def _refuse_second(self, name: str) -> None:
        if name in self._recording:
            raise ProbeFault(f"recorder {name!r} is at work already")

    def look_for(self, name: str, needles: tuple[str, ...]) -> CaptureResult:
        """Search a recorder's bytes so far."""
        return self._named(name).look_for(needles)

    def stop(self, name: str) -> None:
        """Close a recorder with its connections."""
        self._named(name).stop()
        del self._recording[name]

    def _named(self, name: str) -> Witness:
        try:
            return self._recording[name]
        except KeyError:
            raise ProbeFault(f"no recorder {name!r}; at work are {', '.join(self._recording) or 'none'}") from None
