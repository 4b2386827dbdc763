"""Levels, verdicts, and the result of one check."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from pytest_meshcheck.checks.access import Access
from pytest_meshcheck.checks.effective_values import EffectiveValues
from pytest_meshcheck.checks.history import History
from pytest_meshcheck.model.redaction import redacted
from pytest_meshcheck.probe.process.pulse import now


class Level(enum.StrEnum):
    """The severity of a violation, in the terms of RFC 2119."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"
    """Records a fact or a figure and never fails a mesh."""


class Verdict(enum.StrEnum):
    """The outcome of a check."""

    CONFORMS = "conforms"
    VIOLATES = "violates"
    INCONCLUSIVE = "inconclusive"
    """A control failed, or platform, mesh or probe broke: nothing is known."""
    UNSUPPORTED = "unsupported"
    """The mesh does not claim what the check needs."""
    KNOWN_VIOLATION = "known-violation"
    """Listed in the expectations, with reason and link, and it still violates."""
    FIXED = "fixed"
    """Listed in the expectations, but it conforms: remove the entry."""
    NOT_RUN = "not-run"


_BY_SEVERITY = (
    Verdict.NOT_RUN,
    Verdict.UNSUPPORTED,
    Verdict.CONFORMS,
    Verdict.FIXED,
    Verdict.INCONCLUSIVE,
    Verdict.KNOWN_VIOLATION,
    Verdict.VIOLATES,
)


def severity(verdict: Verdict) -> int:
    """The rank of a verdict among several attempts of one check: a violation outranks everything."""
    return _BY_SEVERITY.index(verdict)


@dataclass(frozen=True)
class Time:
    """The stall that would explain a violation which depends on time.

    Attributes:
        lost: Seconds without a reaction that are enough to explain it.
        during: Length in seconds of the window in which they must have been lost.
    """

    lost: float
    during: float


class Violation(AssertionError):
    """The mesh does not do what the requirement says; nothing else raises this.

    Attributes:
        rests_on: The stall that could explain it; None if order or an accepted request proves it.
        request_id: The request that it concerns; empty if it concerns something else.
        leak: Whether it is about something that got through although it must not.
        raised: When it was found, by the clock of ``probe.pulse``.
    """

    def __init__(
        self, expected: str, actual: str, rests_on: Time | None = None, request_id: str = "", *, leak: bool = False
    ) -> None:
        self.expected = redacted(expected)
        self.actual = redacted(actual)
        self.rests_on = rests_on
        self.request_id = request_id
        self.leak = leak
        self.raised = now()
        super().__init__(f"expected {self.expected}, but {self.actual}")


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict of one check with one set of parameters."""

    id: str
    """``family/name``, with ``[parameters]`` if there are any."""
    verdict: Verdict
    level: Level
    requirement: str
    """The requirement's id in requirements.toml."""
    description: str
    """The published text of the check: its docstring."""
    seconds: float
    needs: tuple[str, ...] = ()
    """Capabilities without which it is unsupported."""
    proves: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    """The capabilities that its verdict confirms or contradicts; absent in older reports."""
    expected: str = ""
    actual: str = ""
    reason: str = ""
    """Why it is inconclusive, unsupported or a known violation."""
    link: str = ""
    evidence: str = ""
    """Folder of the evidence, relative to the report's."""
    reproduce: str = ""
    """One command that runs this check again."""
    slow: bool | msgspec.UnsetType = msgspec.UNSET
    """True for a check of the slow lane, which runs with ``--mesh-slow`` alone; omitted for the others."""
    measured: Mapping[str, float | int | str] = {}
    """Measurements made by the check, e.g. ``policy acts after (s)``."""
    history: History | msgspec.UnsetType = msgspec.UNSET
    """The data of the pictures; omitted without any."""
    access: tuple[Access, ...] | msgspec.UnsetType = msgspec.UNSET
    """Who reaches a port of a user's own service; omitted for other checks."""
    effective: tuple[EffectiveValues, ...] | msgspec.UnsetType = msgspec.UNSET
    """What the configuration of such a port comes to; omitted for other checks."""
    attempts: tuple[Verdict, ...] | msgspec.UnsetType = msgspec.UNSET
    """The verdict of each attempt, if a plugin made several; the verdict is the worst of them."""

    @property
    def proven(self) -> tuple[str, ...]:
        """The capabilities that its verdict confirms or contradicts; in older reports all that it needs."""
        return self.needs if self.proves is msgspec.UNSET else self.proves
