"""Compares a run with an earlier one, check by check: the verdict on an upgrade."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from pytest_meshcheck.checks.aliases import Alias, Aliases
from pytest_meshcheck.checks.check_ids import covers
from pytest_meshcheck.checks.verdict import Verdict
from pytest_meshcheck.report.model import Change, CheckChange, Comparison, Report, ReportUnreadable, load
from pytest_meshcheck.report.recorded import compare_tables

RANK: Mapping[Verdict, int] = {
    Verdict.CONFORMS: 2,
    Verdict.FIXED: 2,
    Verdict.UNSUPPORTED: 1,
    Verdict.KNOWN_VIOLATION: 0,
    Verdict.VIOLATES: 0,
}
"""The rank from best to worst for a user of the mesh: it conforms; it makes no claim; it claims and violates.

Expectations change the outcome of a run, not the mesh: known violations have the rank of violations. Inconclusive and
not-run have no rank, as nothing is known about the mesh.
"""


class BaselineUnreadable(Exception):
    """The baseline is not a readable report; with the file and the reason."""


def load_baseline(path: Path) -> Report:
    """Read the report.json of an earlier run.

    Raises:
        BaselineUnreadable: It is missing, not JSON, or not a report of this layout.
    """
    try:
        return load(path / "report.json" if path.is_dir() else path)
    except ReportUnreadable as error:
        raise BaselineUnreadable(
            f"the baseline cannot be read: {error}. Give the report.json of an earlier run."
        ) from error


def compare(baseline: Report, report: Report, aliases: Aliases = MappingProxyType({})) -> Comparison:
    """Compare each check of two reports; those of this report come first, then those that are gone.

    What the baseline has under an id of ``aliases``, or under the id of a check that has got parameters since, is
    compared with each check that replaces it.
    """
    now = {result.id: result.verdict for result in report.results}
    before: dict[str, Verdict] = {}
    for result in baseline.results:
        for check_id in _heirs(result.id, now, aliases) or [result.id]:
            before.setdefault(check_id, result.verdict)
    changes = tuple(_change(check_id, before.get(check_id), now.get(check_id)) for check_id in {**now, **before})
    tables = compare_tables(baseline.results, report.results) or msgspec.UNSET
    return Comparison(mesh=baseline.mesh, started=baseline.started, changes=changes, tables=tables)


def old_ids(baseline: Report, aliases: Aliases) -> list[Alias]:
    """The aliases by which checks of a baseline are known."""
    return [aliases[result.id] for result in baseline.results if result.id in aliases]


def _heirs(check_id: str, now: Mapping[str, Verdict], aliases: Aliases) -> list[str]:
    """The checks of this report that replace one of the baseline; unsupported ones only if no other does.

    An id without parameters also covers the parameters that the check has gained since.
    """
    alias = aliases.get(check_id)
    heirs = [one for one in now if (alias.covers(one) if alias else covers(check_id, one))]
    return [one for one in heirs if now[one] is not Verdict.UNSUPPORTED] or heirs


def _change(check_id: str, before: Verdict | None, now: Verdict | None) -> CheckChange:
    return CheckChange(id=check_id, before=before, now=now, change=_direction(before, now))


def _direction(before: Verdict | None, now: Verdict | None) -> Change:
    if before is None:
        return Change.NEW
    if now is None:
        return Change.GONE
    if before not in RANK or now not in RANK:
        return Change.UNKNOWN
    difference = RANK[now] - RANK[before]
    return Change.SAME if difference == 0 else Change.BETTER if difference > 0 else Change.WORSE


def of_change(comparison: Comparison, change: Change) -> list[CheckChange]:
    """The checks with this change."""
    return [item for item in comparison.changes if item.change is change]


def summary(comparison: Comparison) -> str:
    """One line, e.g. ``against envoy 1.36.2: 1 worse, 2 better, 31 same``, and how much of each table changed."""
    found = Counter(item.change for item in comparison.changes)
    order = (Change.WORSE, Change.BETTER, Change.SAME, Change.NEW, Change.GONE, Change.UNKNOWN)
    parts = [f"{found[change]} {change}" for change in order if found[change]] or ["no check in either"]
    tables = [f"{one.name}: {len(one.changes)} of {one.entries} changed" for one in comparison.tables or ()]
    return f"against {comparison.mesh}: {'; '.join([', '.join(parts), *tables])}"


def noteworthy(comparison: Comparison) -> list[CheckChange]:
    """The checks to look at: those that are worse, that are new and violate, and that are better."""
    new = [one for one in of_change(comparison, Change.NEW) if one.now is Verdict.VIOLATES]
    return [*of_change(comparison, Change.WORSE), *new, *of_change(comparison, Change.BETTER)]
