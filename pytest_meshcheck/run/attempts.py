"""The attempts of a test item: plugins that repeat tests run one item several times.

The worst attempt counts.
"""

import contextlib
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from pytest_meshcheck.checks.verdict import Result, Verdict, severity

PHASES: dict[Verdict, Literal["setup", "call"]] = {Verdict.INCONCLUSIVE: "setup"}
"""The phase in which pytest reports each outcome, if not the call: failures outside the call are errors."""

SAID = re.compile(r"\s*\([\w-]+ in attempts? \d+(?: and \d+)* of \d+[^()]*\)$")
"""The suffix of a message that lists the verdicts of the attempts."""


@dataclass(frozen=True)
class Attempt:
    """The outcome of one attempt.

    Attributes:
        result: The result of this attempt only.
        outcome: pytest's outcome.
        longrepr: pytest's representation of the failure.
        wasxfail: The reason of an expected failure.
    """

    result: Result
    outcome: Literal["passed", "failed", "skipped"]
    longrepr: Any
    wasxfail: str | None = None

    @classmethod
    def of(cls, report: pytest.TestReport, result: Result) -> "Attempt":
        """The attempt of a test report."""
        return cls(result, report.outcome, report.longrepr, getattr(report, "wasxfail", None))

    def show_as(self, report: pytest.TestReport) -> None:
        """Make pytest count and show a report like this attempt."""
        report.outcome, report.longrepr = self.outcome, self.longrepr
        report.when = PHASES.get(self.result.verdict, "call")
        vars(report).pop("wasxfail", None)
        if self.wasxfail is not None:
            report.wasxfail = self.wasxfail


@dataclass
class Attempts:
    """The attempts of one item in this process.

    Attributes:
        folder: The folder for evidence.
        continued: Whether evidence of an earlier run in the folder is kept, as that of its first attempts.
        begun: The number of attempts so far.
        raised: The exception of the check itself, by number of the attempt.
        ended: The finished attempts by number, from 1.
        kept: The numbers of the attempts with evidence in the folder.
        counted: Whether pytest has counted the item.
    """

    folder: Path
    continued: bool = False
    begun: int = 0
    raised: dict[int, pytest.ExceptionInfo[BaseException]] = field(default_factory=dict)
    ended: dict[int, Attempt] = field(default_factory=dict)
    kept: set[int] = field(default_factory=set)
    counted: bool = False
    _earlier: int = 0
    """The number of attempts of an earlier run with evidence in the folder."""

    def begin(self) -> None:
        """Begin an attempt; evidence of an earlier run is removed, that of the first attempt moves to make room."""
        self.begun += 1
        if self.continued and self.begun == 1:
            self._earlier = len(list(self.folder.glob("attempt-*"))) or int(self.folder.is_dir())
        number = self.begun + self._earlier
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if number == 1:
                shutil.rmtree(self.folder)
            if number == 2:
                aside = self.folder.rename(self.folder.with_name(f".{self.folder.name}"))
                self.folder.mkdir()
                aside.rename(self.folder / "attempt-1")

    def correct(self, report: pytest.TestReport, *, final: bool) -> None:
        """Turn the report of an attempt into one about the item; ``final`` is the report that pytest counts.

        For JUnit a test ends with its teardown, so the teardown of an earlier attempt must not look like one.
        """
        if final:
            self.counted = True
            if len(self.ended) > 1:
                self.worst.show_as(report)
        elif report.when == "teardown" and not self.counted:
            report.when = "setup"

    @property
    def evidence(self) -> Path:
        """The evidence folder of the present attempt."""
        number = self.begun + self._earlier
        return self.folder if number <= 1 else self.folder / f"attempt-{number}"

    @property
    def unreported(self) -> list[int]:
        """The earlier attempts that were not reported to pytest."""
        return [number for number in self.raised if number < self.begun and number not in self.ended]

    @property
    def worst(self) -> Attempt:
        """The worst attempt, the first of several."""
        return max(self._in_order(), key=lambda attempt: severity(attempt.result.verdict))

    @property
    def result(self) -> Result:
        """The result of the item."""
        return worst_of([attempt.result for attempt in self._in_order()])

    def _in_order(self) -> list[Attempt]:
        return [attempt for _, attempt in sorted(self.ended.items())]


def worst_of(results: Sequence[Result]) -> Result:
    """The worst of several results of one check, the first of several; it says what came of each attempt."""
    verdicts = tuple(verdict for result in results for verdict in (result.attempts or (result.verdict,)))
    worst = max(results, key=lambda result: severity(result.verdict))
    if len(verdicts) == 1:
        return worst
    worst = msgspec.structs.replace(worst, attempts=verdicts)
    if len(set(verdicts)) == 1:
        return worst
    field = "actual" if worst.actual else "reason"
    said = SAID.sub("", getattr(worst, field))
    return msgspec.structs.replace(worst, **{field: f"{said} ({_differing(verdicts)})".lstrip()})


def _differing(verdicts: tuple[Verdict, ...]) -> str:
    """The verdicts of the attempts, the worst first, e.g. ``violates in attempt 1 of 2, conforms in 2``."""
    numbered = sorted(enumerate(verdicts, 1), key=lambda one: -severity(one[1]))
    (worst, of_worst), *others = _grouped(numbered)
    word = "attempt" if len(of_worst) == 1 else "attempts"
    parts = (f"{verdict} in {' and '.join(numbers)}" for verdict, numbers in others)
    return ", ".join((f"{worst} in {word} {' and '.join(of_worst)} of {len(verdicts)}", *parts))


def _grouped(numbered: Iterable[tuple[int, Verdict]]) -> Iterator[tuple[Verdict, list[str]]]:
    for verdict, group in groupby(numbered, key=lambda one: one[1]):
        yield verdict, [str(number) for number, _ in group]
