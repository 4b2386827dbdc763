"""What a run found out about one mesh: the content of report.json, the only source of every other artefact."""

import enum
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from pytest_meshcheck.checks.verdict import Level, Result, Verdict
from pytest_meshcheck.model.capability import Claim

SCHEMA: Literal["1"] = "1"
"""Version of the layout of report.json; it changes when a reader of the old layout would misread the new one."""


class ReportUnreadable(Exception):
    """A file is not a report that this version can read; names the file and says why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class Observed(enum.StrEnum):
    """What a run says of a capability, whatever the mesh claims."""

    CONFIRMED = "confirmed"
    """Checks that prove it were judged, and every one of them conforms."""
    CONTRADICTED = "contradicted"
    """A check that proves it violates, known or not."""
    NOT_OBSERVED = "not-observed"
    """No check that proves it was judged."""


class Change(enum.StrEnum):
    """How a check compares with the same check in a baseline."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "same"
    NEW = "new"
    """The baseline does not have this check."""
    GONE = "gone"
    """Only the baseline has this check."""
    UNKNOWN = "unknown"
    """One of the two was inconclusive or not run."""


class MeshVersion(msgspec.Struct, frozen=True):
    """The mesh that was judged."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}".strip()


class CapabilityRow(msgspec.Struct, frozen=True, kw_only=True):
    """One capability, as claimed and as observed."""

    name: str
    claimed: bool
    observed: Observed
    note: str = ""
    source: str = ""
    """Where the mesh's documentation makes the claim; a URL."""


class Source(msgspec.Struct, frozen=True):
    """Where a requirement comes from."""

    title: str
    url: str
    quote: str | msgspec.UnsetType = msgspec.UNSET
    """The sentence of it that counts; left out where none is quoted, and in older reports."""


class Requirement(msgspec.Struct, frozen=True):
    """One sentence in the words of RFC 2119, with its sources."""

    text: str
    sources: tuple[Source, ...] = ()


class CheckChange(msgspec.Struct, frozen=True, kw_only=True):
    """One check in a baseline and now; None where that report does not have it."""

    id: str
    before: Verdict | None
    now: Verdict | None
    change: Change


class Unjudged(msgspec.Struct, frozen=True, kw_only=True):
    """Checks that could not be judged for one and the same cause."""

    verdict: Verdict
    cause: str
    """What their reasons have in common; empty where they were not run for a reason that nobody gave."""
    checks: tuple[str, ...]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The report in a line, for readers of report.json that count nothing themselves."""

    headline: str
    score: str
    unjudged: tuple[Unjudged, ...]
    """The commonest cause first; whoever reads a score has to look here."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """This run compared with a baseline, check by check."""

    mesh: MeshVersion
    started: str
    changes: tuple[CheckChange, ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run against one mesh."""

    schema: Literal["1"] = SCHEMA
    meshcheck: str
    """Version of pytest-meshcheck."""
    mesh: MeshVersion
    summary: Summary | msgspec.UnsetType = msgspec.UNSET
    """Made from the results; left out in reports of before there was one."""
    platform: str
    data_planes: str | msgspec.UnsetType = msgspec.UNSET
    """Which of several forms those of the mesh had; left out where it has one, or it is not known."""
    started: str
    """When the run began: ISO 8601, UTC."""
    seconds: float
    level: Level
    """Checks of this level and of those above it were selected."""
    timeout_scale: float = 1.0
    complete: bool = True
    """False when the run was interrupted; the results are those that were judged until then."""
    capabilities: tuple[CapabilityRow, ...] = ()
    steps: Mapping[str, float] = {}
    """What was done before and between checks, e.g. ``mesh start``, and the seconds that it took."""
    pulse: Mapping[str, float] | msgspec.UnsetType = msgspec.UNSET
    """By kind of process - ``pytest``, ``probes``, ``sidecars`` - the longest time in which one could not react, in
    seconds; left out where it is not known."""
    results: tuple[Result, ...] = ()
    requirements: Mapping[str, Requirement] = {}
    """By requirement id."""
    defects: Mapping[str, tuple[str, ...]] = {}
    """Check id, with or without parameters, to the planted defects that the check was seen to catch."""
    baseline: Comparison | None = None


class _Version(msgspec.Struct):
    schema: str


CONFORMING = frozenset({Verdict.CONFORMS, Verdict.FIXED})
VIOLATING = frozenset({Verdict.VIOLATES, Verdict.KNOWN_VIOLATION})
JUDGED = CONFORMING | VIOLATING


def observe(claims: Mapping[str, Claim], results: Iterable[Result]) -> tuple[CapabilityRow, ...]:
    """Set what a mesh claims beside what its checks saw; capabilities that are needed but not claimed come last.

    Only what a check proves is observed by it: what it merely uses may be sound although the check violates.
    """
    verdicts: dict[str, set[Verdict]] = {str(name): set() for name in claims}
    for result in results:
        for need in result.needs:
            verdicts.setdefault(str(need), set())
        for proven in result.proven:
            verdicts.setdefault(str(proven), set()).add(result.verdict)
    by_name = {str(name): claim for name, claim in claims.items()}
    unclaimed = Claim(supported=False, source="", note="the adapter says nothing about it")
    return tuple(_row(name, by_name.get(name, unclaimed), seen) for name, seen in verdicts.items())


def _row(name: str, claim: Claim, seen: set[Verdict]) -> CapabilityRow:
    return CapabilityRow(
        name=name, claimed=claim.supported, observed=_observed(seen), note=claim.note, source=claim.source
    )


def _observed(verdicts: set[Verdict]) -> Observed:
    if verdicts & VIOLATING:
        return Observed.CONTRADICTED
    return Observed.CONFIRMED if verdicts & CONFORMING else Observed.NOT_OBSERVED


def encode(report: Report) -> bytes:
    """The report as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def load(path: Path) -> Report:
    """Read a report.json.

    Raises:
        ReportUnreadable: There is no such file, it is not JSON, or not a report of this layout.
    """
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise ReportUnreadable(path, error.strerror or str(error)) from error
    try:
        version = msgspec.json.decode(octets, type=_Version).schema
        if version == SCHEMA:
            return msgspec.json.decode(octets, type=Report)
    except msgspec.ValidationError as error:
        raise ReportUnreadable(path, f"not a report of pytest-meshcheck: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ReportUnreadable(path, f"not JSON: {error}") from error
    raise ReportUnreadable(
        path,
        f"its layout has version {version!r}, this pytest-meshcheck reads {SCHEMA!r}: "
        "make the report again with this version, or read it with the one that wrote it",
    )
