"""The attempts of one item come to one result."""

from pathlib import Path

import msgspec
import pytest

from pytest_meshcheck.checks.verdict import Level, Result, Verdict
from pytest_meshcheck.run.attempts import Attempt, Attempts

V, C, U = Verdict.VIOLATES, Verdict.CONFORMS, Verdict.INCONCLUSIVE

SAID = {
    # what the attempts ended in: what the result says of them
    (V,): "it is 1",
    (V, V): "it is 1",
    (V, C): "it is 1 (violates in attempt 1 of 2, conforms in 2)",
    (C, V, C): "it is 1 (violates in attempt 2 of 3, conforms in 1 and 3)",
    (U, V, V, C): "it is 1 (violates in attempts 2 and 3 of 4, inconclusive in 1, conforms in 4)",
}


def after(folder: Path, *verdicts: Verdict) -> Attempts:
    attempts = Attempts(folder)
    for number, verdict in enumerate(verdicts, 1):
        attempts.begin()
        actual, reason = ("it is 1", "") if verdict is V else ("", "nobody knows" if verdict is U else "")
        about = {"id": "demo/a", "level": Level.MUST, "requirement": "demo.rule", "description": "It does."}
        result = Result(**about, verdict=verdict, seconds=0.0, actual=actual, reason=reason)
        attempts.ended[number] = Attempt(result, "passed" if verdict is C else "failed", None)
    return attempts


@pytest.mark.parametrize("verdicts", SAID, ids=" ".join)
def test_it_says_which_attempts_were_bad(verdicts: tuple[Verdict, ...], tmp_path: Path) -> None:
    result = after(tmp_path / "a", *verdicts).result
    assert (result.verdict, result.actual) == (V, SAID[verdicts])


def test_what_was_unknown_once_is_unknown(tmp_path: Path) -> None:
    result = after(tmp_path / "a", U, C).result
    assert (result.verdict, result.reason) == (U, "nobody knows (inconclusive in attempt 1 of 2, conforms in 2)")


def test_one_attempt_is_not_spoken_of(tmp_path: Path) -> None:
    assert after(tmp_path / "a", C).result.attempts is msgspec.UNSET


def test_evidence_makes_room(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path / "demo" / "a")
    for number in (1, 2, 3):
        attempts.begin()
        attempts.evidence.mkdir(parents=True)
        (attempts.evidence / "said").write_text(str(number))
    told = {path.parent.name: path.read_text() for path in attempts.folder.rglob("said")}
    assert told == {"attempt-1": "1", "attempt-2": "2", "attempt-3": "3"}
    assert [path.name for path in attempts.folder.parent.iterdir()] == ["a"]
