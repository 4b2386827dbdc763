"""The history of a check, for the pictures of a report; small enough for report.json."""

import enum
from collections.abc import Mapping

import msgspec

from pytest_meshcheck.model.observation import LoadSlice
from pytest_meshcheck.probe.protocol.messages import AttemptEnding, Ending, Protocol


class TriedAt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt at a request, as a server saw it; times are seconds since the client began.

    They are based on the wall clocks of both ends, which can differ between machines.
    """

    server: str
    """The instance."""
    number: int
    """1 for the first attempt that this instance saw."""
    arrived: float
    answered: float | None = None
    """The time at which the head of the answer was sent."""
    ended: float | None = None
    """None if it was still open when the ledger was read last."""
    ending: AttemptEnding


class TimeLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request as seen by its client, and its attempts."""

    client: str
    server: str
    protocol: Protocol
    seconds: float
    """Its duration in seconds."""
    ending: Ending
    status: int | None = None
    """In the protocol's own terms: the gRPC status of a gRPC call, else that of HTTP."""
    attempts: tuple[TriedAt, ...] | None = None
    """None if no ledger was read."""


class MarkKind(enum.StrEnum):
    """The kind of an event during a load."""

    ROTATION = "rotation"
    UPGRADE = "upgrade"
    DISRUPTION = "disruption"
    """An outage of a part of the mesh, or a replacement of a data plane."""
    RESTART = "restart"
    """Of a data plane, or of a workload together with it."""
    CERTIFICATE = "certificate"
    """The first handshake with a new leaf of a server."""


class Mark(msgspec.Struct, frozen=True):
    """An event during a load."""

    at: float
    """Seconds since the load began."""
    kind: MarkKind
    what: str
    """The step, the disruption, or the leaf's SHA-256 fingerprint."""


class LoadLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A load by steps."""

    name: str
    """Client and server, or the port."""
    step: float = 1.0
    """Length of each slice in seconds."""
    slices: tuple[LoadSlice, ...]
    marks: tuple[Mark, ...] = ()


class History(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The history of one check."""

    request: TimeLine | None = None
    """The request of a violation."""
    policies: Mapping[str, tuple[float, ...]] = {}
    """By kinds of policy, the seconds from applying them until every data plane was seen to apply them."""
    loads: tuple[LoadLine, ...] = ()
    distributions: Mapping[str, tuple[float, ...]] = {}
    """Durations in seconds, by name of the measurement."""
    spent: Mapping[str, float] = {}
    """Seconds by kind of wait; time that several kinds share counts once."""
