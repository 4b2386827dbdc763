"""Headers between the wire, where they are bytes, and messages, where they are Latin-1: nothing is lost either way."""

from collections.abc import Iterable

Headers = tuple[tuple[str, str], ...]


def to_bytes(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Headers as bytes."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def from_bytes(headers: Iterable[tuple[bytes, bytes]] | None) -> Headers:
    """Headers as text, byte by byte."""
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers or ())


def regular(headers: Headers) -> Headers:
    """Headers without HTTP/2's pseudo-headers."""
    return tuple(header for header in headers if not header[0].startswith(":"))
