"""What an item ended in each time it was run: plugins that repeat tests make several attempts of one.

No attempt betters another: the item is as bad as its worst one.
"""

import contextlib
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from pytest_meshcheck.checks.verdict import Result, Verdict, severity

PHASES: dict[Verdict, Literal["setup", "call"]] = {Verdict.INCONCLUSIVE: "setup"}
"""Where pytest is to have it that something failed, if not in the call: an error is what fails outside of that."""


@dataclass(frozen=True)
class Attempt:
    """How one attempt ended.

    Attributes:
        result: Of this attempt alone.
        outcome: What pytest calls it.
        longrepr: What pytest shows of it.
        wasxfail: The reason of an expected failure.
    """

    result: Result
    outcome: Literal["passed", "failed", "skipped"]
    longrepr: Any
    wasxfail: str | None = None

    @classmethod
    def of(cls, report: pytest.TestReport, result: Result) -> "Attempt":
        """The attempt that a report is about."""
        return cls(result, report.outcome, report.longrepr, getattr(report, "wasxfail", None))

    def show_as(self, report: pytest.TestReport) -> None:
        """Have pytest count and show a report as it does this attempt."""
        report.outcome, report.longrepr = self.outcome, self.longrepr
        report.when = PHASES.get(self.result.verdict, "call")
        vars(report).pop("wasxfail", None)
        if self.wasxfail is not None:
            report.wasxfail = self.wasxfail


@dataclass
class Attempts:
    """The attempts of one item in this process.

    Attributes:
        folder: Where their evidence goes.
        begun: How many there are.
        raised: What the check itself raised, by the number of the attempt.
        ended: Those that are over, by number, the first one being 1.
        kept: The numbers of those whose evidence is in the folder.
        counted: Whether pytest was told what the item is counted as.
    """

    folder: Path
    begun: int = 0
    raised: dict[int, pytest.ExceptionInfo[BaseException]] = field(default_factory=dict)
    ended: dict[int, Attempt] = field(default_factory=dict)
    kept: set[int] = field(default_factory=set)
    counted: bool = False

    def begin(self) -> None:
        """Begin another one; evidence of an earlier run is removed, that of the first attempt makes room for others."""
        self.begun += 1
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if self.begun == 1:
                shutil.rmtree(self.folder)
            if self.begun == 2:
                aside = self.folder.rename(self.folder.with_name(f".{self.folder.name}"))
                self.folder.mkdir()
                aside.rename(self.folder / "attempt-1")

    def correct(self, report: pytest.TestReport, *, final: bool) -> None:
        """Make a report one about the item; ``final`` is the one that the item is counted by.

        To JUnit a test ends with its teardown: that of an attempt before the last one must not look like one.
        """
        if final:
            self.counted = True
            if len(self.ended) > 1:
                self.worst.show_as(report)
        elif report.when == "teardown" and not self.counted:
            report.when = "setup"

    @property
    def evidence(self) -> Path:
        """Where the evidence of the present attempt goes."""
        return self.folder if self.begun <= 1 else self.folder / f"attempt-{self.begun}"

    @property
    def unreported(self) -> list[int]:
        """The attempts before the present one that pytest was told nothing of."""
        return [number for number in self.raised if number < self.begun and number not in self.ended]

    @property
    def worst(self) -> Attempt:
        """The first of the worst ones."""
        return max(self._in_order(), key=lambda attempt: severity(attempt.result.verdict))

    @property
    def result(self) -> Result:
        """The result of the item."""
        verdicts = tuple(attempt.result.verdict for attempt in self._in_order())
        worst = self.worst.result
        if len(verdicts) == 1:
            return worst
        worst = msgspec.structs.replace(worst, attempts=verdicts)
        if len(set(verdicts)) == 1:
            return worst
        told = "actual" if worst.actual else "reason"
        return msgspec.structs.replace(worst, **{told: f"{getattr(worst, told)} ({_differing(verdicts)})".lstrip()})

    def _in_order(self) -> list[Attempt]:
        return [attempt for _, attempt in sorted(self.ended.items())]


def _differing(verdicts: tuple[Verdict, ...]) -> str:
    """What the attempts ended in, the worst first, e.g. ``violates in attempt 1 of 2, conforms in 2``."""
    numbered = sorted(enumerate(verdicts, 1), key=lambda one: -severity(one[1]))
    (worst, of_worst), *others = _grouped(numbered)
    word = "attempt" if len(of_worst) == 1 else "attempts"
    parts = (f"{verdict} in {' and '.join(numbers)}" for verdict, numbers in others)
    return ", ".join((f"{worst} in {word} {' and '.join(of_worst)} of {len(verdicts)}", *parts))


def _grouped(numbered: Iterable[tuple[int, Verdict]]) -> Iterator[tuple[Verdict, list[str]]]:
    for verdict, group in groupby(numbered, key=lambda one: one[1]):
        yield verdict, [str(number) for number, _ in group]
