"""Bodies: bytes made from a seed, so that both ends know megabytes that control never carries."""

import hashlib

from pytest_meshcheck.probe.protocol.messages import Body


def octets(seed: int, length: int) -> bytes:
    """``length`` bytes that depend on nothing but ``seed``; a shorter body is a prefix of a longer one.

    The output of SHAKE128 (FIPS 202) over the seed's decimal digits.
    """
    return hashlib.shake_128(str(seed).encode()).digest(length)


def content(body: Body) -> bytes:
    """The bytes of a body; its text, as UTF-8, wins over seed and length."""
    return body.text.encode() if body.text else octets(body.seed, body.length)


def halves(data: bytes) -> tuple[bytes, bytes]:
    """The first and the second half; of a single byte the first half is empty."""
    middle = len(data) // 2
    return data[:middle], data[middle:]
