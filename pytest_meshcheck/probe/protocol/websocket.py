"""What both ends of WebSocket know (RFC 6455): the headers of its opening handshake, and the bytes of a message."""

from typing import Any

from wsproto.events import Message

from pytest_meshcheck.probe.protocol.headers import Headers
from pytest_meshcheck.probe.protocol.messages import joined

SWITCHING = 101
"""The status of an accepted upgrade."""

KEY, ACCEPT = "Sec-WebSocket-Key", "Sec-WebSocket-Accept"

UPGRADE: Headers = (("Upgrade", "websocket"), ("Connection", "Upgrade"))
"""What both ends say."""

REQUIRED: Headers = (*UPGRADE, ("Sec-WebSocket-Version", "13"))
"""A client's upgrade headers, without its key."""


def misfit(headers: Headers, required: Headers) -> str:
    """Which required header is missing, or says something else; empty: none."""
    for name, token in required:
        value = joined(headers, name) or ""
        if token.lower() not in (part.strip() for part in value.lower().split(",")):
            return f"{name} is {value!r}, not {token!r}"
    return ""


def bytes_of(message: Message[Any]) -> bytes:
    """The bytes of a message, or of a piece of it."""
    return message.data.encode() if isinstance(message.data, str) else bytes(message.data)
