"""A finding of the doctor."""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec


class Severity(enum.StrEnum):
    """How bad a finding is; the worst first."""

    ERROR = "error"
    """Something is broken now, or a guarantee of the mesh does not hold."""
    WARNING = "warning"
    """Something breaks later, or a guarantee of the mesh has a gap."""
    INFO = "info"
    """A fact that readers need, and nothing to mend."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the doctor."""

    rule: str
    """The id of the rule, ``topic.name``."""
    severity: Severity
    object: str
    """What it is about: ``kind namespace/name``, or a group of objects in words."""
    why: str
    advice: str = ""
    """What to do; empty for a fact."""
    source: str = ""
    """The documentation or bug that the rule relies on; a URL."""


@dataclass(frozen=True)
class Found:
    """A finding before its rule adds the id, and the source if it has none of its own."""

    severity: Severity
    object: str
    why: str
    advice: str = ""
    source: str = ""


NOUNS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "fact"}
ORDER = {severity: number for number, severity in enumerate(Severity)}


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings by severity, then by rule and object."""
    return tuple(sorted(findings, key=lambda one: (ORDER[one.severity], one.rule, one.object, one.why)))


def tally(findings: Sequence[Finding]) -> str:
    """How many there are of each severity, e.g. ``1 error, 2 warnings, 3 facts``."""
    counted = {each: sum(one.severity is each for one in findings) for each in Severity}
    return ", ".join(f"{number} {NOUNS[each]}{'' if number == 1 else 's'}" for each, number in counted.items())


def errors(findings: Iterable[Finding]) -> list[Finding]:
    """The findings about what is broken now."""
    return [one for one in findings if one.severity is Severity.ERROR]


def is_wanting(findings: Iterable[Finding]) -> bool:
    """Whether there is anything to mend."""
    return any(one.severity is not Severity.INFO for one in findings)
