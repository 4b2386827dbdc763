"""Messages on a byte stream: four bytes of length, big-endian, then MessagePack."""

import asyncio
import struct
from typing import TypeVar

import msgspec

PREFIX = struct.Struct(">I")

M = TypeVar("M")


def framed(message: msgspec.Struct) -> bytes:
    """A message as it goes over the stream."""
    payload = msgspec.msgpack.encode(message)
    return PREFIX.pack(len(payload)) + payload


async def next_message(reader: asyncio.StreamReader, decoder: msgspec.msgpack.Decoder[M]) -> M | None:
    """The next message, or None where the stream ends between two messages.

    Raises:
        asyncio.IncompleteReadError: The stream ended within a message.
        msgspec.DecodeError: The bytes are no such message.
    """
    try:
        prefix = await reader.readexactly(PREFIX.size)
    except asyncio.IncompleteReadError as cut:
        if cut.partial:
            raise
        return None
    return decoder.decode(await reader.readexactly(*PREFIX.unpack(prefix)))
