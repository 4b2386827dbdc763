"""The capture between nodes: every packet on the interface through which this node reaches another one.

Encrypted and encapsulated traffic is on that interface as the network between the nodes carries it. Whole packets are
searched, because the payload of a tunnel is a packet again. Incoming packets are searched only by a capture that has no
counterpart on the other node, and only until IPsec is seen: the kernel shows an incoming packet again in the clear, on
the same interface, once it is decrypted (https://github.com/cilium/cilium/pull/34127).
"""

import asyncio
import fcntl
import ipaddress
import secrets
import socket
import struct
from dataclasses import dataclass, field
from pathlib import Path

from pytest_meshcheck.probe.capture.kernel_filter import pass_only
from pytest_meshcheck.probe.capture.limits import EXCERPT, LIMIT
from pytest_meshcheck.probe.capture.packets import (
    AT_A_TIME,
    CANARY_INTERVAL,
    CANARY_PATIENCE,
    DISCARD,
    LARGEST,
    Transport,
    captured_on,
    drain,
    dropped,
    refuse_gaps,
    transport,
)
from pytest_meshcheck.probe.protocol.errors import ProbeFault
from pytest_meshcheck.probe.protocol.messages import CaptureResult

PACKET_OUTGOING = 4
PACKET_END = b"\0"
"""Between two packets in a search, so that no text is found that none of them carries."""
ICMP = (1, 58)
"""The protocol numbers of ICMP and ICMPv6."""
ESP = 50
"""The protocol number of packets that IPsec has encrypted."""
INTERFACES = Path("/sys/class/net")
ROUTES = Path("/proc/net/route")
SIOCGIFADDR = 0x8915
LONGEST_NAME = 15


@dataclass
class OutwardCapture:
    """One capture under way.

    Attributes:
        peer: The address of the other node.
        pods: The addresses of the pods, which are on the wire where nothing wraps their packets.
        alone: Whether nothing is captured on the other node, so that incoming packets are searched as well.
    """

    peer: str
    pods: tuple[str, ...]
    alone: bool = False
    _packets: list[bytes] = field(default_factory=list)
    _sent: int = 0
    """Bytes of outgoing packets."""
    _received: int = 0
    """Bytes of incoming packets."""
    _decrypts: bool = False
    """Whether IPsec is in use, so that incoming packets may have been decrypted on this node."""
    _recorded: int = 0
    _drops: int = 0

    def __post_init__(self) -> None:
        self._ends = {ipaddress.ip_address(address).packed for address in (self.peer, *self.pods)}
        interface = interface_to(self.peer)
        self._gateway = gateway_of(interface)
        if others := devices_beside(interface):
            raise ProbeFault(f"pods may leave this node by {', '.join(others)}, and only {interface} would be captured")
        self._socket = captured_on(interface)
        asyncio.get_running_loop().add_reader(self._socket, self._take_some)

    async def prove(self) -> None:
        """Send a canary in the clear to the other node and to the gateway, which is not a node.

        Raises:
            ProbeFault: Neither was captured, so that nothing would be.
        """
        targets = [self.peer, *([self._gateway] if self._gateway else [])]
        captured, self._ends = self._ends, self._ends | {ipaddress.ip_address(target).packed for target in targets}
        pass_only(self._socket, self._ends)
        canary = secrets.token_hex(16)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for target in targets:
                sender.sendto(canary.encode(), (target, DISCARD))
        until = asyncio.get_running_loop().time() + CANARY_PATIENCE
        while canary not in self.look_for((canary,)).found:
            if asyncio.get_running_loop().time() > until:
                raise ProbeFault(
                    f"a canary that was sent in the clear to {' and '.join(targets)} was not seen on the way: either "
                    "the network encrypts what nodes send themselves, or this capture would miss traffic"
                )
            await asyncio.sleep(CANARY_INTERVAL)
        self._ends = captured

    def look_for(self, needles: tuple[str, ...]) -> CaptureResult:
        """Which needles one packet had; ProbeFault if packets were lost, or more was captured than is kept."""
        drain(self._take_some)
        self._drops += dropped(self._socket)
        refuse_gaps(self._drops, self._recorded)
        sought = [needle.encode() for needle in needles]
        everything = PACKET_END.join(self._packets)
        telling = (packet for packet in self._packets if any(text in packet for text in sought))
        return CaptureResult(
            connections=int(bool(everything)),
            bytes_to_server=self._sent,
            bytes_to_client=self._received,
            found=tuple(needle for needle, text in zip(needles, sought, strict=True) if text in everything),
            excerpt=b"".join(telling)[:EXCERPT],  # other traffic may be private
        )

    def stop(self) -> None:
        """End it and forget the captured packets."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._packets.clear()

    def _take_some(self) -> bool:
        """Take some of the packets that the kernel holds; returns whether these were all."""
        for _ in range(AT_A_TIME):
            try:
                packet, sender = self._socket.recvfrom(LARGEST)
            except BlockingIOError:
                return True
            carried = transport(memoryview(packet))
            if carried is not None and self._ends & {carried.source, carried.target}:
                self._keep(packet, carried, outgoing=sender[2] == PACKET_OUTGOING)
        return False

    def _keep(self, packet: bytes, carried: Transport, *, outgoing: bool) -> None:
        if outgoing:
            self._sent += len(packet)
        else:
            self._received += 0 if is_icmp(carried) else len(packet)
            self._decrypts |= carried.protocol == ESP
        if outgoing or (self.alone and not self._decrypts):
            self._recorded += len(packet)
            if self._recorded <= LIMIT:
                self._packets.append(packet)


def is_icmp(packet: Transport) -> bool:
    """Whether it is a message of a node about another packet, such as a canary that nobody takes."""
    return packet.protocol in ICMP


def devices_beside(interface: str) -> list[str]:
    """The network devices by which packets may leave this node without passing an interface.

    Virtual interfaces lead to pods, or into tunnels over a device; a device may be part of a bond, or below a VLAN.
    """
    devices = [path.parent for path in INTERFACES.glob("*/device")]
    return sorted(
        one.name for one in devices if not (one.name == interface or _is_down(one) or _is_below(one, interface))
    )


def _is_down(device: Path) -> bool:
    return (device / "operstate").read_text("ascii").strip() == "down"


def _is_below(device: Path, interface: str) -> bool:
    return (device / f"upper_{interface}").exists() or (device / "master").resolve().name == interface


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


def gateway_of(interface: str) -> str:
    """The IPv4 address of the gateway that an interface leads to; empty if there is none (proc_net_route)."""
    for line in ROUTES.read_text("ascii").splitlines()[1:]:
        name, destination, gateway, *_ = line.split()
        if name == interface and int(destination, 16) == 0 != int(gateway, 16):
            return socket.inet_ntoa(struct.pack("=L", int(gateway, 16)))
    return ""


def _address_of(any_socket: socket.socket, interface: str) -> str:
    """The IPv4 address of an interface; empty if it has none."""
    request = struct.pack("256s", interface.encode()[:LONGEST_NAME])
    try:
        return socket.inet_ntoa(fcntl.ioctl(any_socket, SIOCGIFADDR, request)[20:24])
    except OSError:
        return ""
