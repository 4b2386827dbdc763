"""A kernel filter that keeps other traffic on a busy node out of a capture's buffer.

Classic BPF, as attached by ``SO_ATTACH_FILTER`` (socket(7), https://www.kernel.org/doc/html/latest/networking/filter.html).
"""

import ctypes
import itertools
import socket
import struct
from collections.abc import Collection, Iterator

SO_ATTACH_FILTER = 26
LOAD_WORD, LOAD_BYTE, AND, EQUAL, RETURN = 0x20, 0x30, 0x54, 0x15, 0x06
VERSION, IPV4 = 0xF0, 0x40
"""Mask and value of the first byte of a packet."""
SOURCE, TARGET = 12, 16
"""Offsets of the addresses in an IPv4 header."""
NONE, WHOLE = 0, 0xFFFFFFFF
"""How much of a packet passes."""

Instruction = tuple[int, int, int, int]
"""Code, instructions to skip if true and if false, operand."""


def pass_only(capturing: socket.socket, addresses: Collection[bytes]) -> None:
    """Have a packet socket of type ``SOCK_DGRAM`` get only packets from or to these IPv4 addresses, and all of IPv6.

    Args:
        capturing: The socket.
        addresses: In network byte order; those of IPv6 are ignored.
    """
    program = instructions([address for address in addresses if len(address) == 4])
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in program))
    capturing.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(code)))


def instructions(addresses: Collection[bytes]) -> list[Instruction]:
    """The program that passes what ``pass_only`` says; at most 120 addresses."""
    tests = list(_tests(addresses))
    last = len(tests) + 4  # the instruction that passes a whole packet, after the one that passes none
    prefix = [(LOAD_BYTE, 0, 0, 0), (AND, 0, 0, VERSION), (EQUAL, 0, last - 3, IPV4)]
    jumps = [
        (code, last - number - 1 if code == EQUAL else 0, 0, operand)
        for number, (code, operand) in enumerate(tests, len(prefix))
    ]
    return [*prefix, *jumps, (RETURN, 0, 0, NONE), (RETURN, 0, 0, WHOLE)]


def _tests(addresses: Collection[bytes]) -> Iterator[tuple[int, int]]:
    numbers = [int.from_bytes(address) for address in addresses]
    for offset in (SOURCE, TARGET):
        yield LOAD_WORD, offset
        yield from zip(itertools.repeat(EQUAL), numbers)
