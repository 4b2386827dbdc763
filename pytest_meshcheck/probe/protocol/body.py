"""Bodies: bytes made from a seed, so that both ends know megabytes that control never carries."""

import hashlib

from pytest_meshcheck.probe.protocol.messages import Body, Request


def seeded_bytes(seed: int, length: int) -> bytes:
    """``length`` bytes that depend on nothing but ``seed``; a shorter body is a prefix of a longer one.

    The output of SHAKE128 (FIPS 202) over the seed's decimal digits.
    """
    return hashlib.shake_128(str(seed).encode()).digest(length)


def content(body: Body) -> bytes:
    """The bytes of a body: its data, else its text as UTF-8, else those of its seed."""
    return body.data or body.text.encode() or seeded_bytes(body.seed, body.length)


def parted(data: bytes, first: int | None) -> tuple[bytes, bytes]:
    """The first bytes and the rest; with None the rest is empty."""
    return (data, b"") if first is None else (data[:first], data[first:])


def before_pause(request: Request) -> int | None:
    """Bytes of a request's body before the pause in it; None if there is none."""
    return 0 if request.pause_after is None and request.body_delay else request.pause_after


def halves(data: bytes) -> tuple[bytes, bytes]:
    """The first and the second half; of a single byte the first half is empty."""
    middle = len(data) // 2
    return data[:middle], data[middle:]
