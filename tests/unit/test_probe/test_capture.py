"""Packets taken apart, and put together again. That a real interface is seen is for ``tests/e2e``."""

import struct

import pytest

from pytest_meshcheck.probe.capture.outward import interface_to
from pytest_meshcheck.probe.capture.packets import CIRCLE, runs, taken_apart, transport
from pytest_meshcheck.probe.protocol.errors import ProbeFault

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
