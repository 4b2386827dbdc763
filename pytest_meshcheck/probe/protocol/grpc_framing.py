"""gRPC's own framing over HTTP/2 (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md), as the HTTP/2 server needs it."""

import struct
from urllib.parse import quote

CONTENT_TYPE = "application/grpc"
PREFIX = struct.Struct(">BI")

COUNT_HEADER = "x-meshcheck-messages"
"""How many messages a client asks for on a server stream."""

BIDI = "/Bidi"
CLIENT_STREAM = "/ClientStream"
SERVER_STREAM = "/ServerStream"


class CompressedMessage(Exception):
    """A message came compressed, which was never offered."""


class MessageReader:
    """Cuts a request body into messages."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are whole now; CompressedMessage where one is compressed."""
        self._rest += data
        messages = []
        while len(self._rest) >= PREFIX.size:
            compressed, length = PREFIX.unpack_from(self._rest)
            if compressed:
                raise CompressedMessage
            end = PREFIX.size + length
            if len(self._rest) < end:
                break
            messages.append(bytes(self._rest[PREFIX.size : end]))
            del self._rest[:end]
        return messages


def framed(message: bytes) -> bytes:
    """A message as it goes into a body."""
    return PREFIX.pack(0, len(message)) + message


def status_trailers(status: int, message: str) -> list[tuple[str, str]]:
    """The trailers that end a call; the message is percent-encoded."""
    trailers = [("grpc-status", str(status))]
    return [*trailers, ("grpc-message", quote(message, safe=" !\"#$&'()*+,/:;<=>?@[]^`{|}~"))] if message else trailers
