"""The capture between nodes: every packet on the interface through which this node reaches another one.

What a node encrypts, or wraps into packets of its own, is on that interface as the network between the nodes carries
it. Whole packets are searched, whatever they carry, because a tunnel's payload is a packet again.
"""

import asyncio
import fcntl
import ipaddress
import secrets
import socket
import struct
from dataclasses import dataclass, field

from pytest_meshcheck.probe.capture.limits import EXCERPT, LIMIT
from pytest_meshcheck.probe.capture.packets import (
    CANARY_INTERVAL,
    CANARY_PATIENCE,
    DISCARD,
    LARGEST,
    captured_on,
    dropped,
    refuse_gaps,
    transport,
)
from pytest_meshcheck.probe.protocol.errors import ProbeFault
from pytest_meshcheck.probe.protocol.messages import CaptureResult

PACKET_OUTGOING = 4
PACKET_END = b"\0"
"""Between two packets in a search, so that no text is found that none of them carries."""
SIOCGIFADDR = 0x8915
LONGEST_NAME = 15


@dataclass
class OutwardCapture:
    """One capture under way.

    Attributes:
        peer: The address of the other node.
        pods: The addresses of the pods, which are on the wire where nothing wraps their packets.
    """

    peer: str
    pods: tuple[str, ...]
    _sent: list[bytes] = field(default_factory=list)
    _received: list[bytes] = field(default_factory=list)
    _recorded: int = 0
    _drops: int = 0

    def __post_init__(self) -> None:
        self._ends = {ipaddress.ip_address(address).packed for address in (self.peer, *self.pods)}
        self._socket = captured_on(interface_to(self.peer))
        asyncio.get_running_loop().add_reader(self._socket, self._drain)

    async def prove(self) -> None:
        """Send a canary in the clear to the other node; ProbeFault if it is not captured, as then nothing would be."""
        canary = secrets.token_hex(16)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(canary.encode(), (self.peer, DISCARD))
        until = asyncio.get_running_loop().time() + CANARY_PATIENCE
        while canary not in self.look_for((canary,)).found:
            if asyncio.get_running_loop().time() > until:
                raise ProbeFault(
                    f"a canary that was sent in the clear to the node {self.peer} was not seen on the way: either the "
                    "network encrypts what nodes send themselves, or this capture would miss traffic"
                )
            await asyncio.sleep(CANARY_INTERVAL)

    def look_for(self, needles: tuple[str, ...]) -> CaptureResult:
        """Which needles one packet had; ProbeFault if packets were lost, or more was captured than is kept."""
        self._drain()
        self._drops += dropped(self._socket)
        refuse_gaps(self._drops, self._recorded)
        everything = PACKET_END.join((*self._sent, *self._received))
        return CaptureResult(
            connections=int(bool(everything)),
            bytes_to_server=sum(map(len, self._sent)),
            bytes_to_client=sum(map(len, self._received)),
            found=tuple(needle for needle in needles if needle.encode() in everything),
            excerpt=b"".join((*self._sent[-1:], *self._received[-1:]))[:EXCERPT],
        )

    def stop(self) -> None:
        """End it and forget the captured packets."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._sent.clear()
        self._received.clear()

    def _drain(self) -> None:
        while True:
            try:
                packet, sender = self._socket.recvfrom(LARGEST)
            except BlockingIOError:
                return
            carried = transport(memoryview(packet))
            if carried is not None and self._ends & {carried.source, carried.target}:
                self._recorded += len(packet)
                if self._recorded <= LIMIT:
                    (self._sent if sender[2] == PACKET_OUTGOING else self._received).append(packet)


def interface_to(peer: str) -> str:
    """The name of the interface through which this node sends to an IPv4 address.

    Raises:
        ProbeFault: There is none, or the address is of IPv6.
    """
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as routed:
            routed.connect((peer, DISCARD))
            own = routed.getsockname()[0]
            for _, name in socket.if_nameindex():
                if _address_of(routed, name) == own:
                    return name
    except OSError as error:
        raise ProbeFault(f"no interface of this node leads to the node {peer}: {error}") from error
    raise ProbeFault(f"no interface of this node has the address {own}, from which it reaches the node {peer}")


def _address_of(any_socket: socket.socket, interface: str) -> str:
    """The IPv4 address of an interface; empty if it has none."""
    request = struct.pack("256s", interface.encode()[:LONGEST_NAME])
    try:
        return socket.inet_ntoa(fcntl.ioctl(any_socket, SIOCGIFADDR, request)[20:24])
    except OSError:
        return ""
