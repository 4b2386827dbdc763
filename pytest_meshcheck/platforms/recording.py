"""Recording the bytes between two data planes, by a relay in their path."""

from dataclasses import dataclass
from typing import Protocol

import msgspec

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.observation import CaptureResult
from pytest_meshcheck.model.workload_spec import Address
from pytest_meshcheck.probe.controller import Probe, ProbeLost
from pytest_meshcheck.probe.protocol import messages as m


@dataclass(frozen=True)
class Recording:
    """One relay of the recorder.

    Attributes:
        client: Whose connections it takes.
        server: Where they go to.
        port: The name of the server's port.
        recorder: The probe that relays.
    """

    client: str
    server: str
    port: str
    recorder: Probe

    @property
    def name(self) -> str:
        """Its name in the recorder."""
        return f"{self.client} -> {self.server} {self.port}"

    async def begin(self, listen: Address, forward: Address) -> None:
        """Start the relay."""
        await self._call(m.Record(name=self.name, listen=listen, forward=forward))

    async def watch(self, client: str, servers: tuple[str, ...], canaries: tuple[str, ...]) -> None:
        """Start to capture traffic between these addresses, once canaries to the addresses of this node are seen."""
        await self._call(m.Capture(name=self.name, client=client, servers=servers, canaries=canaries))

    async def watch_outward(self, peer: str, pods: tuple[str, ...], *, alone: bool) -> None:
        """Start to capture traffic with another node, once a canary in the clear to that node is seen.

        ``alone`` says that nothing is captured on the other node.
        """
        await self._call(m.CaptureOutward(name=self.name, peer=peer, pods=pods, alone=alone))

    async def look_for(self, needles: tuple[str, ...]) -> CaptureResult:
        """Search the relayed bytes so far."""
        reply = await self._call(m.LookFor(name=self.name, needles=needles))
        if not isinstance(reply, m.CaptureReply):
            raise Inconclusive(f"the wire recorder answered {reply} when asked what it saw of {self.name}")
        return reply.captured

    async def end(self) -> None:
        """Stop the relay; open connections are closed."""
        await self._call(m.StopRecording(name=self.name))

    async def _call(self, command: m.Command) -> msgspec.Struct:
        try:
            reply = await self.recorder.call(command)
        except ProbeLost as lost:
            raise Inconclusive(f"the wire recorder is gone: {lost}") from lost
        if isinstance(reply, m.Failed):
            raise Inconclusive(f"the wire recorder could not do {type(command).__name__}: {reply.error}")
        return reply


class Recorded(Protocol):
    """A recording of one wire."""

    @property
    def client(self) -> str:
        """Whose connections are recorded."""

    @property
    def server(self) -> str:
        """Where they go to."""

    async def look_for(self, needles: tuple[str, ...]) -> CaptureResult:
        """Search the recorded bytes so far."""


@dataclass(frozen=True)
class RecordedWire:
    """A recording as seen by a check."""

    recording: Recorded
    journal: Journal

    async def look_for(self, *needles: str) -> CaptureResult:
        """Which of these texts were seen, in either direction, since the recording began."""
        captured = await self.recording.look_for(needles)
        self.journal.add("wire", f"{self.recording.client} -> {self.recording.server}", captured)
        return captured
