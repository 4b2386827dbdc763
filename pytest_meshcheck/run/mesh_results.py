"""The results of a run on one mesh, as they come in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_meshcheck.checks.requirements import Requirement
from pytest_meshcheck.checks.verdict import Result, severity
from pytest_meshcheck.report.model import Report
from pytest_meshcheck.run.earlier import with_earlier


@dataclass
class MeshResults:
    """The results on one mesh, by id of the check."""

    results: dict[str, Result] = field(default_factory=dict)
    steps: dict[str, float] = field(default_factory=dict)
    data_planes: str = ""
    pulse: dict[str, float] = field(default_factory=dict)
    requirements: dict[str, Requirement] = field(default_factory=dict)
    roots: set[Path] = field(default_factory=set)
    earlier: Report | None = None
    """The report that this run continues."""

    def add(self, result: Result) -> None:
        """Add a result, unless there is a worse one of the same check."""
        known = self.results.get(result.id)
        if known is None or severity(result.verdict) >= severity(known.verdict):
            self.results[result.id] = result

    @property
    def all_requirements(self) -> Mapping[str, Requirement]:
        """The requirements of all results, by id."""
        return {**(self.earlier.requirements if self.earlier else {}), **self.requirements}

    def go_on_from(self, earlier: Report) -> None:
        """Merge the results of the earlier run that this one continues."""
        self.earlier = earlier
        self.results = with_earlier(earlier.results, self.results)
