"""The filter of a capture, in the kernel, on packets over loopback."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from pytest_meshcheck.probe.capture.kernel_filter import pass_only
from pytest_meshcheck.probe.capture.packets import captured_on
from pytest_meshcheck.probe.protocol.errors import ProbeFault

OURS, OTHERS = "127.0.0.71", "127.0.0.72"


@pytest.fixture
def capturing() -> Iterator[socket.socket]:
    """A capture of loopback."""
    try:
        opened = captured_on("lo")
    except ProbeFault as why:
        pytest.skip(str(why))
    with contextlib.closing(opened):
        yield opened


def captured(capturing: socket.socket, texts: dict[str, bytes]) -> set[bytes]:
    """Which of these texts, sent to one address each, a capture gets; loopback hands packets over as they are sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for address, text in texts.items():
            sender.sendto(text, (address, 9))
    packets = []
    with contextlib.suppress(BlockingIOError):
        while True:
            packets.append(capturing.recv(65536))
    return {text for text in texts.values() if any(text in packet for packet in packets)}


@pytest.mark.parametrize("passed", [(OURS,), (OTHERS, OURS), (OTHERS,), ()])
def test_only_packets_of_these_addresses_pass(capturing: socket.socket, passed: tuple[str, ...]) -> None:
    pass_only(capturing, [socket.inet_aton(address) for address in passed])
    texts = {address: f"to {address} of {passed}".encode() for address in (OURS, OTHERS)}
    assert captured(capturing, texts) == {texts[address] for address in passed}


def test_packets_of_ipv6_pass(capturing: socket.socket) -> None:
    pass_only(capturing, [socket.inet_aton(OURS)])
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"over IPv6", ("::1", 9))
    seen = b""
    with contextlib.suppress(BlockingIOError):
        while b"over IPv6" not in seen:
            seen = capturing.recv(65536)
    assert b"over IPv6" in seen
