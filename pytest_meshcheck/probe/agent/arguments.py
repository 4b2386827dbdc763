"""What a probe does before anybody controls it, as arguments of the program."""

from collections.abc import Sequence

import msgspec

from pytest_meshcheck.probe.protocol.messages import Listen, Request

NONE = "null"
"""Send no first request."""


def encoded(first: Request | None) -> str:
    """The argument for the request that a probe sends as the first thing that it does."""
    return msgspec.json.encode(first).decode()


def decoded(argument: str | bytes) -> Request | None:
    """The request of an argument; ValueError if it is none."""
    return msgspec.json.decode(argument, type=Request | None)


def served(ports: Sequence[Listen]) -> str:
    """The argument for the ports that a probe serves from its start."""
    return msgspec.json.encode(tuple(ports)).decode()


def ports_of(argument: str) -> tuple[Listen, ...]:
    """The ports of an argument; ValueError if they are none."""
    return msgspec.json.decode(argument, type=tuple[Listen, ...])
