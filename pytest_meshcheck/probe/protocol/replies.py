"""The replies of a probe: one frozen struct each, MessagePack on the wire."""

import msgspec

from pytest_meshcheck.probe.protocol.observations import (
    Attempt,
    CaptureResult,
    Exchange,
    LoadResult,
    PollResult,
    Standstill,
)


class Done(msgspec.Struct, frozen=True, tag=True):
    """It was done; there is no result."""


class Exchanged(msgspec.Struct, frozen=True, tag=True):
    """The exchange that was asked for."""

    exchange: Exchange


class Watched(msgspec.Struct, frozen=True, tag=True):
    """The result of each poll, in their order."""

    results: tuple[PollResult, ...]


class Loaded(msgspec.Struct, frozen=True, tag=True):
    """The load that was asked for."""

    result: LoadResult


class Ledger(msgspec.Struct, frozen=True, tag=True):
    """Attempts in the order of their arrival; ``arrived`` is how many there ever were, of all ids and of none."""

    attempts: tuple[Attempt, ...]
    arrived: int = 0
    forgotten: bool = False
    """Whether the oldest ones are missing, because more have arrived than are kept."""


class CaptureReply(msgspec.Struct, frozen=True, tag=True):
    """The result of a search in a recorder's bytes."""

    captured: CaptureResult


class Kept(msgspec.Struct, frozen=True, tag=True):
    """A load so far: by how many seconds its newest request was late, whether it has ended for that, its requests."""

    late: float
    overrun: bool
    sent: int


class Felt(msgspec.Struct, frozen=True, tag=True):
    """For how long the probe could not react."""

    standstill: Standstill


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The probe could not do it; this is never an observation of the mesh."""

    error: str


Reply = Done | Exchanged | Watched | Loaded | Ledger | CaptureReply | Kept | Felt | Failed
