"""Packets taken apart, and put together again. That a real interface is seen is for ``tests/e2e``."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pytest_meshcheck.probe.capture.outward import OutwardCapture, devices_beside, gateway_of, interface_to
from pytest_meshcheck.probe.capture.packets import CIRCLE, drain, runs, taken_apart, transport
from pytest_meshcheck.probe.protocol.errors import ProbeFault
from pytest_meshcheck.probe.protocol.messages import CaptureResult

HERE, THERE = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])


def tcp(payload: bytes, sequence: int = 1, options: bytes = b"") -> bytes:
    offset = (20 + len(options)) // 4 << 4
    return struct.pack("!HHIIBBHHH", 4711, 8080, sequence, 0, offset, 0x18, 0, 0, 0) + options + payload


def ipv4(carried: bytes, protocol: int = 6, options: bytes = b"") -> bytes:
    header = 20 + len(options)
    fields = (0x40 | header // 4, 0, header + len(carried), 0, 0, 64, protocol, 0)
    return struct.pack("!BBHHHBBH", *fields) + HERE + THERE + options + carried


def ipv6(carried: bytes) -> bytes:
    return struct.pack("!IHBB", 6 << 28, len(carried), 6, 64) + HERE * 4 + THERE * 4 + carried


@pytest.mark.parametrize(
    "packet",
    [
        ipv4(tcp(b"payload", 7)),
        ipv4(tcp(b"payload", 7, options=bytes(12)), options=bytes(4)),
        ipv4(tcp(b"payload", 7)) + b"padding of the link",
        ipv6(tcp(b"payload", 7)) + b"padding of the link",
    ],
    ids=["plain", "options", "padded", "ipv6"],
)
def test_the_payload_of_a_segment(packet: bytes) -> None:
    segment = taken_apart(memoryview(packet))
    assert segment is not None
    assert (segment.sequence, segment.payload) == (7, b"payload")
    assert (segment.flow[1], segment.flow[3]) == (4711, 8080)


@pytest.mark.parametrize("packet", [b"", b"\x45", ipv4(tcp(b"")), ipv4(b"echo", protocol=1), ipv4(b"short")])
def test_what_carries_nothing(packet: bytes) -> None:
    assert taken_apart(memoryview(packet)) is None


def test_a_datagram() -> None:
    segment = taken_apart(memoryview(ipv4(struct.pack("!HHHH", 1, 9, 14, 0) + b"canary", protocol=17)))
    assert segment is not None
    assert (segment.sequence, segment.payload) == (None, b"canary")


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ({}, []),
        ({10: b"one", 13: b"two"}, [b"onetwo"]),
        ({13: b"two", 10: b"one"}, [b"onetwo"]),
        ({10: b"one", 11: b"netwo"}, [b"onetwo"]),
        ({10: b"onetwo", 12: b"e"}, [b"onetwo"]),
        ({10: b"one", 14: b"two"}, [b"one", b"two"]),
        ({CIRCLE - 3: b"one", 0: b"two"}, [b"onetwo"]),
        ({0: b"two", CIRCLE - 3: b"one"}, [b"onetwo"]),
    ],
    ids=["nothing", "in order", "late", "overlapping", "again", "gap", "new circle", "new circle, late"],
)
def test_segments_are_put_together(segments: dict[int, bytes], expected: list[bytes]) -> None:
    assert list(runs(segments)) == expected


def test_the_interface_to_a_node() -> None:
    assert interface_to("127.0.0.1") == "lo"


def test_there_is_no_interface_to_a_node_of_another_family() -> None:
    with pytest.raises(ProbeFault, match="no interface of this node leads to the node fd00::1"):
        interface_to("fd00::1")


def test_what_a_packet_carries() -> None:
    carried = transport(memoryview(ipv4(b"wrapped", protocol=50)))
    assert carried is not None
    assert (carried.protocol, carried.source, carried.target, bytes(carried.payload)) == (50, HERE, THERE, b"wrapped")


PACKET_HOST, PACKET_OUTGOING = 0, 4


class Captured:
    """A socket with these packets in it, each with its type."""

    def __init__(self, number: int, *packets: tuple[bytes, int]) -> None:
        self.number = number
        self.packets = list(packets)

    def fileno(self) -> int:
        return self.number

    def recvfrom(self, _size: int) -> tuple[bytes, tuple[str, int, int]]:
        if not self.packets:
            raise BlockingIOError
        packet, kind = self.packets.pop(0)
        return packet, ("eth0", 0x0800, kind)

    def getsockopt(self, *_: int) -> bytes:
        return bytes(8)


@pytest_asyncio.fixture
async def captured(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., CaptureResult]]:
    """What a capture finds in packets."""
    wakes, _ = ends = socket.socketpair()

    def found(needle: str, *packets: tuple[bytes, int], alone: bool = False) -> CaptureResult:
        fake = Captured(wakes.fileno(), *packets)
        monkeypatch.setattr("pytest_meshcheck.probe.capture.outward.captured_on", lambda _: fake)
        monkeypatch.setattr("pytest_meshcheck.probe.capture.outward.interface_to", lambda _: "eth0")
        monkeypatch.setattr("pytest_meshcheck.probe.capture.outward.devices_beside", lambda _: [])
        capture = OutwardCapture("10.0.0.2", (), alone)
        asyncio.get_running_loop().remove_reader(wakes)
        return capture.look_for((needle,))

    yield found
    for end in ends:
        end.close()


@pytest.mark.asyncio
async def test_a_packet_that_is_shown_again_once_it_is_decrypted_was_not_in_the_clear(captured: Any) -> None:
    seen = captured("secret", (ipv4(b"ciphertext", 50), PACKET_OUTGOING), (ipv4(tcp(b"secret")), PACKET_HOST))
    assert (seen.found, seen.bytes_to_client > 0) == ((), True)


@pytest.mark.asyncio
async def test_without_a_capture_on_the_other_node_its_packets_are_searched_until_ipsec_is_seen(captured: Any) -> None:
    clear, encrypted = (ipv4(tcp(b"secret")), PACKET_HOST), (ipv4(b"ciphertext", 50), PACKET_HOST)
    seen = [captured("secret", *packets, alone=True).found for packets in ((clear,), (encrypted, clear))]
    assert seen == [("secret",), ()]


@pytest.mark.asyncio
async def test_only_packets_with_a_needle_are_shown(captured: Any) -> None:
    seen = captured("secret", (ipv4(tcp(b"of others")), PACKET_OUTGOING), (ipv4(tcp(b"a secret")), PACKET_OUTGOING))
    assert (seen.found, b"a secret" in seen.excerpt, b"of others" in seen.excerpt) == (("secret",), True, False)


def test_packets_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_meshcheck.probe.capture.packets.DRAINED_WITHIN", 0.01)
    with pytest.raises(ProbeFault, match="could not be drained within"):
        drain(lambda: False)


def test_gateway_of_an_interface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    routes = tmp_path / "route"
    routes.write_text(
        "Iface\tDestination\tGateway\tFlags\n"
        "eth1\t00000000\t010014AC\t0003\neth0\t000012AC\t00000000\t0001\neth0\t00000000\t010012AC\t0003\n",
        "ascii",
    )
    monkeypatch.setattr("pytest_meshcheck.probe.capture.outward.ROUTES", routes)
    assert (gateway_of("eth0"), gateway_of("lo")) == ("172.18.0.1", "")


def test_devices_that_may_lead_past_a_capture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, state in {"eth0": "up", "eth1": "up", "eth2": "down", "slave": "up", "below": "up"}.items():
        (tmp_path / name / "device").mkdir(parents=True)
        (tmp_path / name / "operstate").write_text(f"{state}\n", "ascii")
    (tmp_path / "veth").mkdir()
    (tmp_path / "slave" / "master").symlink_to(tmp_path / "eth0")
    (tmp_path / "below" / "upper_eth0").symlink_to(tmp_path / "eth0")
    monkeypatch.setattr("pytest_meshcheck.probe.capture.outward.INTERFACES", tmp_path)
    assert devices_beside("eth0") == ["eth1"]
