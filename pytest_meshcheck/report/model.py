"""The content of report.json: the result of a run on one mesh, and the only source of all other formats."""

import enum
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from pytest_meshcheck.checks.requirements import Requirement
from pytest_meshcheck.checks.verdict import Level, Result, Verdict
from pytest_meshcheck.doctor.finding import Finding
from pytest_meshcheck.model.capability import NOT_CLAIMED, Claim

SCHEMA: Literal["1"] = "1"
"""The layout version of report.json; it changes when readers of the old layout would misread the new one."""


class ReportUnreadable(Exception):
    """A file is not a report that this version can read; with the file and the reason."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class Observed(enum.StrEnum):
    """The observation of a capability in a run, whatever the mesh claims."""

    CONFIRMED = "confirmed"
    """Every check that proves it and has a verdict conforms, and there is at least one."""
    CONTRADICTED = "contradicted"
    """A check that proves it violates, known or not."""
    NOT_OBSERVED = "not-observed"
    """No check that proves it has a verdict."""


class Change(enum.StrEnum):
    """The change of a check's verdict since a baseline."""

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
    """The tested mesh."""

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
    """The documentation of the claim; a URL."""


class CheckChange(msgspec.Struct, frozen=True, kw_only=True):
    """One check in a baseline and now; None if the report does not have it."""

    id: str
    before: Verdict | None
    now: Verdict | None
    change: Change


class Unjudged(msgspec.Struct, frozen=True, kw_only=True):
    """Checks without a verdict for a common cause."""

    verdict: Verdict
    cause: str
    """The common part of their reasons; empty if they were not run for no stated reason."""
    checks: tuple[str, ...]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The totals of the report, for readers of report.json that do not count themselves."""

    headline: str
    score: str
    unjudged: tuple[Unjudged, ...]
    """The commonest cause first. A score means little without them."""


class RecordedChange(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a recorded table in a baseline and now, in words; ``(new)`` or ``(gone)`` where only one has it."""

    row: str
    """E.g. the port of a service."""
    column: str
    """E.g. its caller."""
    before: str
    now: str


class TableComparison(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded table compared with that of a baseline."""

    name: str
    row: str
    """The heading of its rows."""
    column: str
    """The heading of what a row says something about."""
    entries: int
    """The number of entries of both."""
    changes: tuple[RecordedChange, ...]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """This run compared with a baseline, check by check."""

    mesh: MeshVersion
    started: str
    changes: tuple[CheckChange, ...]
    tables: tuple[TableComparison, ...] | msgspec.UnsetType = msgspec.UNSET
    """What checks record, such as who reaches what; omitted if neither run has any of it."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run against one mesh."""

    schema: Literal["1"] = SCHEMA
    meshcheck: str
    """Version of pytest-meshcheck."""
    mesh: MeshVersion
    summary: Summary | msgspec.UnsetType = msgspec.UNSET
    """Computed from the results; missing in older reports."""
    platform: str
    data_planes: str | msgspec.UnsetType = msgspec.UNSET
    """The form of the data planes; omitted if the mesh has only one, or if it is unknown."""
    stand_ins: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    """What stood in for what of the mesh, e.g. ``another build of its proxy``; omitted if nothing did."""
    started: str
    """The start of the run: ISO 8601, UTC."""
    seconds: float
    level: Level
    """The lowest level of the selected checks."""
    slow: bool | msgspec.UnsetType = msgspec.UNSET
    """True if the slow lane was selected too; otherwise omitted."""
    timeout_scale: float = 1.0
    complete: bool = True
    """False if the run was interrupted; the other checks have the verdict not-run."""
    capabilities: tuple[CapabilityRow, ...] = ()
    steps: Mapping[str, float] = {}
    """The steps before and between checks, e.g. ``mesh start``, in seconds."""
    pulse: Mapping[str, float] | msgspec.UnsetType = msgspec.UNSET
    """The longest stall in seconds by kind of process: ``pytest``, ``probes``, ``sidecars``; omitted if unknown."""
    doctor: tuple[Finding, ...] | msgspec.UnsetType = msgspec.UNSET
    """What ``meshcheck doctor`` found before the run, the worst first; omitted unless the mesh was there already."""
    results: tuple[Result, ...] = ()
    requirements: Mapping[str, Requirement] = {}
    """The requirements by id."""
    defects: Mapping[str, tuple[str, ...]] = {}
    """Check id, with or without parameters, to the planted defects that the check has caught."""
    baseline: Comparison | None = None


class _Version(msgspec.Struct):
    schema: str


CONFORMING = frozenset({Verdict.CONFORMS, Verdict.FIXED})
VIOLATING = frozenset({Verdict.VIOLATES, Verdict.KNOWN_VIOLATION})
JUDGED = CONFORMING | VIOLATING


def observe(claims: Mapping[str, Claim], results: Iterable[Result]) -> tuple[CapabilityRow, ...]:
    """Compare the claims of a mesh with the observations; capabilities without a claim come last.

    Only checks that prove a capability count: one that a check merely uses may be sound although the check violates.
    """
    verdicts: dict[str, set[Verdict]] = {str(name): set() for name in claims}
    for result in results:
        for need in result.needs:
            verdicts.setdefault(str(need), set())
        for proven in result.proven:
            verdicts.setdefault(str(proven), set()).add(result.verdict)
    by_name = {str(name): claim for name, claim in claims.items()}
    return tuple(_row(name, by_name.get(name, NOT_CLAIMED), seen) for name, seen in verdicts.items())


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
        ReportUnreadable: The file is missing, not JSON, or not a report of this layout.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ReportUnreadable(path, error.strerror or str(error)) from error
    try:
        version = msgspec.json.decode(content, type=_Version).schema
        if version == SCHEMA:
            return msgspec.json.decode(content, type=Report)
    except msgspec.ValidationError as error:
        raise ReportUnreadable(path, f"not a report of pytest-meshcheck: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ReportUnreadable(path, f"not JSON: {error}") from error
    raise ReportUnreadable(
        path,
        f"its layout has version {version!r}, this pytest-meshcheck reads {SCHEMA!r}: "
        "repeat the run with this version, or read the report with the version that wrote it",
    )
