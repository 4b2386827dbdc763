"""The line by which a TCP client names its request, as TCP has no headers."""

ID_LINE = b"meshcheck-id:"
ID_LIMIT = 256
"""Bytes that an id line may have."""


def id_line(request_id: str) -> bytes:
    """The line that identifies a connection's request to the server."""
    return ID_LINE + request_id.encode("latin-1") + b"\n"
