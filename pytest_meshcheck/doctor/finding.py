"""A finding of the doctor."""

import enum
from collections.abc import Iterable
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


ORDER = {severity: number for number, severity in enumerate(Severity)}


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings by severity, then by rule and object."""
    return tuple(sorted(findings, key=lambda one: (ORDER[one.severity], one.rule, one.object, one.why)))


def is_wanting(findings: Iterable[Finding]) -> bool:
    """Whether there is anything to mend."""
    return any(one.severity is not Severity.INFO for one in findings)
