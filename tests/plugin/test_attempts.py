"""A check that is run again does not get better by that: a violation that was seen once stays one."""

import xml.etree.ElementTree as ET

import pytest

from tests.plugin.conftest import Finished, Suite

ATTEMPTS = '''
SEEN = {}

def seen(name):
    SEEN[name] = SEEN.get(name, 0) + 1
    return SEEN[name]

@check(MUST, "demo.rule")
async def test_once(mesh, client, server):
    """It does not, the first time."""
    number = seen("once")
    mesh.measure("attempt", number)
    expect(number, "number").at_least(2)

@check(MUST, "demo.rule")
async def test_unknown_once(mesh):
    """Nobody knows, the first time."""
    control(seen("unknown")).equals(2)

@check(MUST, "demo.rule")
async def test_late(mesh):
    """Nobody knows the first time, and it does not the second."""
    number = seen("late")
    control(number).at_least(2)
    expect(number).at_least(3)

@check(MUST, "demo.rule")
async def test_twice(mesh):
    """It does not, both times."""
    expect(seen("twice")).at_least(3)

@check(MUST, "demo.rule")
async def test_sound(mesh):
    """It does."""
'''

INSIDE = """
import pytest

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "call" and report.failed:
        item.ihook.pytest_runtest_teardown(item=item, nextitem=pytest.Class.from_parent(item.session, name="Nobody"))
        item._initrequest()
        item.ihook.pytest_runtest_setup(item=item)
        again = pytest.CallInfo.from_call(lambda: item.ihook.pytest_runtest_call(item=item), when="call")
        second = pytest.TestReport.from_item_and_call(item, again)
        report.outcome, report.longrepr = second.outcome, second.longrepr
    return report
"""
"""A plugin that repeats a test where pytest asks for a report, and tells pytest only of the last attempt."""

RERUNS = ("-p", "no:flaky", "--reruns=1")

BY = {
    # the plugin that repeats: its arguments
    "rerunfailures": RERUNS,
    "flaky": ("-p", "no:rerunfailures", "--force-flaky", "--max-runs=2", "--no-flaky-report"),
    "flaky, more often than needed": ("-p", "no:rerunfailures", "--force-flaky", "--max-runs=4"),
    "inside": ("-p", "no:flaky", "-p", "no:rerunfailures", "-p", "inside"),
}

VERDICTS = {
    "demo/once": "violates",
    "demo/late": "violates",
    "demo/twice": "violates",
    "demo/sound": "conforms",
}


@pytest.fixture(scope="module", params=BY)
def repeated(shared: Suite, request: pytest.FixtureRequest) -> Finished:
    """A run in which one plugin repeats what fails."""
    shared.write(ATTEMPTS, inside_py=INSIDE)
    return shared.run(*BY[request.param], "--junitxml=junit.xml", PYTHONPATH=str(shared.path))


def test_the_worst_verdict_counts(repeated: Finished, shared: Suite) -> None:
    verdicts = shared.verdicts()
    assert {name: verdicts[name] for name in VERDICTS} == VERDICTS, repeated.output
    assert repeated.code == 1


def test_the_result_says_which_attempt_it_was(repeated: Finished, shared: Suite) -> None:
    results = shared.results()
    once = results["demo/once"]
    assert once["attempts"] == ["violates", "conforms"], repeated.output
    assert once["actual"] == "it is 1 (violates in attempt 1 of 2, conforms in 2)"
    assert results["demo/late"]["actual"].startswith("it is 2 (violates in attempt 2 of ")
    assert results["demo/twice"]["attempts"][:2] == ["violates", "violates"]


def test_evidence_of_each_attempt_is_kept(repeated: Finished, shared: Suite) -> None:
    folder = shared.directory / shared.results()["demo/once"]["evidence"]
    assert sorted(path.name for path in folder.iterdir()) == ["attempt-1", "attempt-2"], repeated.output
    told = [(folder / f"attempt-{number}" / "observations.jsonl").read_text() for number in (1, 2)]
    assert [f'"observation":{number}' in text for number, text in enumerate(told, 1)] == [True, True]
    assert {path.name for path in (folder / "attempt-1").iterdir()} >= {"exchanges.md", "state"}


def test_junit_has_one_verdict(repeated: Finished, shared: Suite) -> None:
    cases = list(ET.parse(shared.path / "junit.xml").iter("testcase"))
    (once,) = [case for case in cases if case.get("name", "").startswith("test_once")]
    assert len(once.findall("failure")) == 1, repeated.output
    verdicts = [one.get("value") for one in once.iter("property") if one.get("name") == "meshcheck_verdict"]
    assert verdicts == ["violates"]


def test_what_was_unknown_once_is_not_known(shared: Suite) -> None:
    shared.write(ATTEMPTS)
    run = shared.run(*RERUNS, "-k", "demo/unknown-once", "--junitxml=junit.xml")
    result = shared.results()["demo/unknown-once"]
    assert (run.code, result["verdict"]) == (1, "inconclusive"), run.output
    assert result["reason"].endswith("(inconclusive in attempt 1 of 2, conforms in 2)")
    assert len(list(ET.parse(shared.path / "junit.xml").iter("error"))) == 1


def test_workers_do_not_forget_either(shared: Suite) -> None:
    shared.write(ATTEMPTS)
    run = shared.run(*RERUNS, "-n", "2")
    verdicts = shared.verdicts()
    assert {name: verdicts[name] for name in VERDICTS} == VERDICTS, run.output
    assert run.code == 1


REPEATED = '''
@pytest.mark.parametrize("size", ["small", "large"])
@check(MUST, "demo.rule")
async def test_every_second(mesh, client, size):
    """It does not, each second time."""
    seen = pathlib.Path(f"{size}.txt")
    seen.write_text(f"{seen.read_text() if seen.exists() else ''}x")
    mesh.measure("attempt", len(seen.read_text()))
    expect(len(seen.read_text()) % 2, "number").equals(0)
'''

KNOWN_OF_ONE = """
[[known]]
check = "demo/every-second[large]"
reason = "It comes and goes."
link = "https://example.org/issues/7"
"""


def test_repetitions_are_attempts_of_one_check(suite: Suite) -> None:
    suite.write(REPEATED, known_toml=KNOWN_OF_ONE)
    run = suite.run("--count=3", "--mesh-expectations=known.toml", "-k", "small")
    assert suite.verdicts() == {"demo/every-second[small]": "violates", "demo/every-second[large]": "not-run"}, (
        run.output
    )
    (result, *_) = [one for one in suite.results().values() if one["evidence"]]
    assert result["reproduce"].endswith("::test_every_second[envoy-small]'"), result
    kept = suite.directory / result["evidence"]
    assert sorted(path.name for path in kept.iterdir()) == ["attempt-1", "attempt-3"]


KNOWN = """
[[known]]
check = "demo/once"
reason = "It comes and goes."
link = "https://example.org/issues/7"
"""


def test_a_known_violation_that_comes_and_goes_is_known(shared: Suite) -> None:
    shared.write(ATTEMPTS.replace("at_least(2)", "at_most(1)"), known_toml=KNOWN)
    run = shared.run(*RERUNS, "-k", "demo/once", "--mesh-expectations=known.toml")
    assert run.has("1 xfailed")
    assert shared.results()["demo/once"]["attempts"] == ["fixed", "known-violation"]
    assert run.code == 0


def test_evidence_of_an_earlier_run_is_gone(shared: Suite) -> None:
    shared.write(ATTEMPTS)
    shared.run(*RERUNS, "-k", "demo/once")
    shared.run("-k", "demo/once")
    names = {path.name for path in (shared.directory / "demo" / "once").iterdir()}
    assert "exchanges.md" in names
    assert not [name for name in names if name.startswith("attempt-")]
