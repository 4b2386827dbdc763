"""Levels, verdicts, and the result of one check."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from pytest_meshcheck.checks.history import History
from pytest_meshcheck.model.redaction import redacted
from pytest_meshcheck.probe.process.pulse import now


class Level(enum.StrEnum):
    """How bad a violation is, in the words of RFC 2119."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"
    """Records a fact or a figure and never fails a mesh."""


class Verdict(enum.StrEnum):
    """What a check ends in."""

    CONFORMS = "conforms"
    VIOLATES = "violates"
    INCONCLUSIVE = "inconclusive"
    """A control failed, or platform, mesh or probe broke: nothing is known."""
    UNSUPPORTED = "unsupported"
    """The mesh does not claim what the check needs."""
    KNOWN_VIOLATION = "known-violation"
    """Listed in the expectations, with reason and link, and it still violates."""
    FIXED = "fixed"
    """Listed in the expectations, but it conforms: the entry is to be removed."""
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
    """How bad a verdict is beside others on one check: a violation that was seen outranks everything."""
    return _BY_SEVERITY.index(verdict)


@dataclass(frozen=True)
class Time:
    """What a violation rests on where it is about time: a process that stood still for long enough can explain it.

    Attributes:
        lost: So many seconds without a reaction are enough.
        during: So many seconds were measured; only what was lost in as many together counts.
    """

    lost: float
    during: float


class Violation(AssertionError):
    """The mesh does not do what the requirement says; nothing else raises this.

    Attributes:
        rests_on: What could explain it; None where it was proven by order, or by what got through.
        request_id: The request that it is about; empty where it is about something else.
        raised: When it was found, by the clock of ``probe.pulse``.
    """

    def __init__(self, expected: str, actual: str, rests_on: Time | None = None, request_id: str = "") -> None:
        self.expected = redacted(expected)
        self.actual = redacted(actual)
        self.rests_on = rests_on
        self.request_id = request_id
        self.raised = now()
        super().__init__(f"expected {self.expected}, but {self.actual}")


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict of one check with one set of parameters."""

    id: str
    """``family/name``, with ``[parameters]`` where there are some."""
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
    """Those of them that its verdict speaks of; left out in reports of before there was a difference."""
    expected: str = ""
    actual: str = ""
    reason: str = ""
    """Why it is inconclusive, unsupported or a known violation."""
    link: str = ""
    evidence: str = ""
    """Folder of the evidence, relative to the report's."""
    reproduce: str = ""
    """One command that runs this check again."""
    measured: Mapping[str, float | int | str] = {}
    """What was observed along the way, e.g. ``policy acts after (s)``."""
    history: History | msgspec.UnsetType = msgspec.UNSET
    """What pictures are drawn from; left out where there is nothing to draw."""
    attempts: tuple[Verdict, ...] | msgspec.UnsetType = msgspec.UNSET
    """What each attempt ended in, where a plugin made several; the verdict is the worst of them."""

    @property
    def proven(self) -> tuple[str, ...]:
        """The capabilities that its verdict speaks of; in a report that does not tell them apart, all that it needs."""
        return self.needs if self.proves is msgspec.UNSET else self.proves
