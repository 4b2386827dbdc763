"""The request that a probe sends as the first thing that it does, as an argument of the program."""

import msgspec

from pytest_meshcheck.probe.protocol.messages import Request

NONE = "null"
"""Send none."""


def encoded(first: Request | None) -> str:
    """The argument for this request."""
    return msgspec.json.encode(first).decode()


def decoded(argument: str | bytes) -> Request | None:
    """The request of an argument; ValueError if it is none."""
    return msgspec.json.decode(argument, type=Request | None)
