"""The wire capture: everything that the interfaces of a node carry from and to certain addresses.

An AF_PACKET socket that is bound to no interface sees all of them, in both directions (packet(7)); it needs CAP_NET_RAW
and the node's network.
"""

import asyncio
import ipaddress
import secrets
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from pytest_meshcheck.probe.capture.kernel_filter import pass_only
from pytest_meshcheck.probe.capture.limits import EXCERPT, LIMIT
from pytest_meshcheck.probe.protocol.errors import ProbeFault
from pytest_meshcheck.probe.protocol.messages import CaptureResult

ETH_P_ALL = 0x0003
SOL_PACKET = 263
PACKET_STATISTICS = 6
SO_RCVBUFFORCE = 33
BUFFER = 32 << 20
"""Bytes of the kernel's buffer. With its default a third of the packets was lost, with 8 MiB some of a busy run."""

LARGEST = 1 << 19
"""Bytes of the largest packet, as offloading makes them."""

AT_A_TIME = 500
"""Packets that are taken in a row, before anything else that the probe does has its turn."""
DRAINED_WITHIN = 10.0
"""Seconds."""

TCP, UDP = 6, 17
IPV6_HEADER = 40
UDP_HEADER = 8
DISCARD = 9
"""The port that canaries are sent to; no listener is needed."""

CANARY_PATIENCE = 3.0
CANARY_INTERVAL = 0.05
CIRCLE = 1 << 32
"""TCP sequence numbers wrap around after this many bytes."""

Flow = tuple[bytes, int, bytes, int]
"""From address and port, to address and port."""


@dataclass(frozen=True)
class Segment:
    """The payload of one packet; ``sequence`` is None for UDP."""

    flow: Flow
    sequence: int | None
    payload: bytes


@dataclass(frozen=True)
class Transport:
    """What an IP packet carries, and its addresses in network byte order."""

    protocol: int
    source: bytes
    target: bytes
    payload: memoryview


@dataclass
class Capture:
    """One capture under way.

    Attributes:
        client: Whose connections are counted.
        servers: The addresses of their server: its own, and that of its service.
    """

    client: str
    servers: tuple[str, ...]
    _flows: dict[Flow, dict[int, bytes]] = field(default_factory=dict)
    _canary: bytes = b""
    _recorded: int = 0
    _drops: int = 0

    def __post_init__(self) -> None:
        self._client = ipaddress.ip_address(self.client).packed
        self._servers = {ipaddress.ip_address(server).packed for server in self.servers}
        self._buffer = memoryview(bytearray(LARGEST))
        self._socket = captured_on()
        asyncio.get_running_loop().add_reader(self._socket, self._take_some)

    async def prove(self, addresses: Sequence[str]) -> None:
        """Send a canary to each address and capture it; ProbeFault if it is not captured, as then nothing would be."""
        pass_only(
            self._socket, {self._client, *self._servers, *(ipaddress.ip_address(one).packed for one in addresses)}
        )
        for address in addresses:
            self._canary = secrets.token_hex(16).encode()
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as sender:
                sender.sendto(self._canary, (address, DISCARD))
            if not await self._sees_canary():
                raise ProbeFault(f"a canary that was sent to {address} was not seen: this capture would miss traffic")

    def look_for(self, needles: tuple[str, ...]) -> CaptureResult:
        """Which needles went by, in whatever pieces; ProbeFault where packets were lost, or more came than is kept."""
        drain(self._take_some)
        self._drops += dropped(self._socket)
        refuse_gaps(self._drops, self._recorded)
        sought = [needle.encode() for needle in needles]
        texts = [run for segments in self._flows.values() for run in runs(segments)]
        there = self._between(lambda flow: flow[:2] if flow[2] in self._servers else None)
        back = self._between(lambda flow: flow[2:] if flow[0] in self._servers else None)
        return CaptureResult(
            connections=len(there),
            bytes_to_server=sum(map(len, there)),
            bytes_to_client=sum(map(len, back)),
            found=tuple(text.decode() for text in sought if any(text in run for run in texts)),
            excerpt=b"".join((*there[-1:], *back[-1:]))[:EXCERPT],
        )

    def stop(self) -> None:
        """End it and forget the captured packets."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._flows.clear()

    async def _sees_canary(self) -> bool:
        until = asyncio.get_running_loop().time() + CANARY_PATIENCE
        while asyncio.get_running_loop().time() < until:
            drain(self._take_some)
            if not self._canary:
                return True
            await asyncio.sleep(CANARY_INTERVAL)
        return False

    def _take_some(self) -> bool:
        """Take some of the packets that the kernel holds; returns whether these were all."""
        for _ in range(AT_A_TIME):
            try:
                length, sender = self._socket.recvfrom_into(self._buffer)
            except BlockingIOError:
                return True
            except OSError:
                continue  # an interface went down; the socket goes on with the others
            if sender[0] != "lo" and (segment := taken_apart(self._buffer[:length])):
                self._keep(segment)
        return False

    def _keep(self, segment: Segment) -> None:
        if segment.sequence is None:
            if segment.payload == self._canary:
                self._canary = b""
            return
        ours = {self._client, *self._servers}
        if segment.flow[0] not in ours and segment.flow[2] not in ours:
            return
        segments = self._flows.setdefault(segment.flow, {})
        if len(segments.get(segment.sequence, b"")) < len(segment.payload):
            self._recorded += len(segment.payload)
            if self._recorded <= LIMIT:
                segments[segment.sequence] = segment.payload

    def _between(self, client_of: Callable[[Flow], tuple[bytes, int] | None]) -> list[bytes]:
        """What went one way between client and server, by connection.

        A connection is there twice where both ends are on this node: to the address of the service, and to the server.
        """
        seen: dict[int, bytes] = {}
        for flow, segments in self._flows.items():
            end = client_of(flow)
            if end is not None and end[0] == self._client and segments:
                seen[end[1]] = max(seen.get(end[1], b""), b"".join(runs(segments)), key=len)
        return list(seen.values())


def captured_on(interface: str = "") -> socket.socket:
    """A socket that gets the packets of one interface, or of all, from their IP header on.

    Raises:
        ProbeFault: This process has no right to them.
    """
    try:
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        if interface:
            opened.bind((interface, ETH_P_ALL))
    except PermissionError as error:
        raise ProbeFault(f"packets cannot be captured here: {error}; it takes a privileged pod") from error
    opened.setblocking(False)
    return opened


def drain(take_some: Callable[[], bool]) -> None:
    """Take all packets that the kernel holds: those sent before this call are captured after it.

    Raises:
        ProbeFault: They arrive faster than they can be taken.
    """
    until = time.monotonic() + DRAINED_WITHIN
    while not take_some():
        if time.monotonic() > until:
            raise ProbeFault(f"the capture could not be drained within {DRAINED_WITHIN:g} s: packets arrive too fast")


def dropped(capturing: socket.socket) -> int:
    """The packets that the kernel has dropped since this was last asked."""
    _, drops = struct.unpack("II", capturing.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
    return int(drops)


def refuse_gaps(drops: int, recorded: int) -> None:
    """Raise ProbeFault where packets were lost, or more bytes were recorded than are kept."""
    if drops:
        raise ProbeFault(f"the kernel dropped {drops} packets, so the capture is incomplete")
    if recorded > LIMIT:
        raise ProbeFault(f"{recorded} bytes were captured but only {LIMIT} are kept: the search would be incomplete")


def taken_apart(packet: memoryview) -> Segment | None:
    """The payload of an IP packet with TCP or UDP in it; None for anything else, and for packets without payload."""
    found = transport(packet)
    if found is None:
        return None
    protocol, source, target, rest = found.protocol, found.source, found.target, found.payload
    if protocol == UDP and len(rest) > UDP_HEADER:
        ports = struct.unpack("!HH", rest[:4])
        return Segment((source, ports[0], target, ports[1]), None, bytes(rest[UDP_HEADER:]))
    if protocol != TCP or len(rest) < 20:
        return None
    source_port, target_port, sequence = struct.unpack("!HHI", rest[:8])
    payload = bytes(rest[(rest[12] >> 4) * 4 :])
    return Segment((source, source_port, target, target_port), sequence, payload) if payload else None


def transport(packet: memoryview) -> Transport | None:
    """An IP packet taken apart, without the padding that a link adds; None for anything else."""
    if len(packet) < 20:
        return None
    version = packet[0] >> 4
    if version == 4:
        header = (packet[0] & 0xF) * 4
        end = int.from_bytes(packet[2:4]) or len(packet)
        return Transport(packet[9], bytes(packet[12:16]), bytes(packet[16:20]), packet[header:end])
    if version == 6 and len(packet) > IPV6_HEADER:
        end = IPV6_HEADER + int.from_bytes(packet[4:6]) if any(packet[4:6]) else len(packet)
        return Transport(packet[6], bytes(packet[8:24]), bytes(packet[24:40]), packet[IPV6_HEADER:end])
    return None


def runs(segments: dict[int, bytes]) -> Iterator[bytes]:
    """What went one way over a connection, put together by sequence number; in pieces where bytes were not seen."""
    if not segments:
        return
    first = next(iter(segments))
    ordered = sorted(segments.items(), key=lambda item: (item[0] - first + CIRCLE // 2) % CIRCLE)
    run, following = bytearray(), ordered[0][0]
    for sequence, payload in ordered:
        ahead = (sequence - following + CIRCLE // 2) % CIRCLE - CIRCLE // 2
        if ahead > 0:
            yield bytes(run)
            run.clear()
        if len(payload) + min(ahead, 0) > 0:
            run += payload[max(-ahead, 0) :]
            following = (sequence + len(payload)) % CIRCLE
    yield bytes(run)
