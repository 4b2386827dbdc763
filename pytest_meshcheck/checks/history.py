"""What a result keeps of what happened during its check: enough for a picture, little enough for report.json."""

from collections.abc import Mapping

import msgspec

from pytest_meshcheck.model.observation import LoadSlice
from pytest_meshcheck.probe.protocol.messages import AttemptEnding, Ending, Protocol


class TriedAt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt at a request, as a server saw it; times are seconds since the client began.

    They rest on the wall clocks of both ends, which on two machines can differ.
    """

    server: str
    """The instance."""
    number: int
    """1 for the first attempt that this instance saw."""
    arrived: float
    answered: float | None = None
    """When the head of the answer was sent."""
    ended: float | None = None
    """None while it was open when the ledger was read last."""
    ending: AttemptEnding


class TimeLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request, as its client saw it, and its attempts."""

    client: str
    server: str
    protocol: Protocol
    seconds: float
    """From its beginning to its end."""
    ending: Ending
    status: int | None = None
    """In the protocol's own terms: the gRPC status of a gRPC call, else that of HTTP."""
    attempts: tuple[TriedAt, ...] | None = None
    """None where no server was asked what reached it."""


class Mark(msgspec.Struct, frozen=True):
    """Something that was done or seen during a load."""

    at: float
    """Seconds since the load began."""
    what: str


class LoadLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A load, step by step."""

    name: str
    """Who sent to whom, or over which port."""
    step: float = 1.0
    """Seconds of each slice."""
    slices: tuple[LoadSlice, ...]
    marks: tuple[Mark, ...] = ()


class History(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened during one check."""

    request: TimeLine | None = None
    """The request that a violation is about."""
    policies: Mapping[str, tuple[float, ...]] = {}
    """By kinds of policy, the seconds from applying until every data plane was seen to go by them."""
    loads: tuple[LoadLine, ...] = ()
