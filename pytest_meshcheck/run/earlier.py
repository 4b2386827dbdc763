"""The report of an earlier run that ``--lf`` continues: a violation stays one until a whole run finds none."""

from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from pytest_meshcheck.checks.verdict import Result, Verdict, severity
from pytest_meshcheck.report.model import Report, load
from pytest_meshcheck.run.attempts import worst_of

STAYING = (Verdict.VIOLATES, Verdict.KNOWN_VIOLATION)
"""The verdicts that a later attempt cannot better."""


def continues(config: pytest.Config) -> bool:
    """Whether a run selects by the failures of an earlier one; where there were none, ``--lf`` runs everything."""
    selecting = config.pluginmanager.get_plugin("lfplugin")
    return bool(config.getoption("lf", False) and getattr(selecting, "lastfailed", True))


def earlier_report(directory: Path) -> Report | None:
    """The report to continue; None if there is none.

    Raises:
        ReportUnreadable: There is one that cannot be read.
    """
    path = directory / "report.json"
    return load(path) if path.exists() else None


def with_earlier(earlier: Iterable[Result], results: dict[str, Result]) -> dict[str, Result]:
    """The results of both runs, by id: each check's newest verdict, but a violation of the earlier run stays."""
    return results | {before.id: _continued(before, results.get(before.id)) for before in earlier}


def _continued(before: Result, now: Result | None) -> Result:
    if now is None or now.verdict is Verdict.NOT_RUN:
        return before
    if before.verdict not in STAYING or severity(now.verdict) >= severity(before.verdict):
        return now
    if now.verdict is Verdict.KNOWN_VIOLATION:
        return now  # it still violates, and has been listed since
    worst = worst_of([before, now])
    return msgspec.structs.replace(worst, evidence=worst.evidence or now.evidence)
