"""A loop of ``--lf`` continues one report: what violated once does so until a whole run finds otherwise."""

import pytest

from tests.plugin.conftest import Finished, Suite

COMES_AND_GOES = '''
def number():
    """How many runs there were."""
    count = pathlib.Path("runs.txt")
    count.write_text(f"{count.read_text() if count.exists() else ''}x")
    return len(count.read_text())

@check(MUST, "demo.rule")
async def test_once(mesh, client, server):
    """It does not, in the first run."""
    seen = number()
    mesh.measure("run", seen)
    expect(seen, "number").at_least(2)

@check(MUST, "demo.rule")
async def test_unknown_once(mesh):
    """Nobody knows, in the first run."""
    control(pathlib.Path("runs.txt").read_text()).equals("xx")

@check(MUST, "demo.rule")
async def test_sound(mesh):
    """It does."""
'''

KEEPING = ("-p", "cacheprovider")
"""The cache by which pytest knows the failures of the last run."""


@pytest.fixture(scope="module")
def runs(shared: Suite) -> list[Finished]:
    """A whole run, and one that selects by its failures."""
    shared.write(COMES_AND_GOES)
    return [shared.run(*KEEPING), shared.run(*KEEPING, "--lf")]


def test_a_violation_stays_one(runs: list[Finished], shared: Suite) -> None:
    assert [run.code for run in runs] == [1, 1], runs[-1].output
    once = shared.results()["demo/once"]
    assert (once["verdict"], once["attempts"]) == ("violates", ["violates", "conforms"])
    assert once["actual"] == "it is 1 (violates in attempt 1 of 2, conforms in 2)"


def test_what_was_unknown_is_known_now(runs: list[Finished], shared: Suite) -> None:
    assert shared.verdicts()["demo/unknown-once"] == "conforms", runs[-1].output


def test_what_was_not_selected_keeps_its_verdict(runs: list[Finished], shared: Suite) -> None:
    assert shared.verdicts()["demo/sound"] == "conforms", runs[-1].output
    assert runs[-1].has("score: 2/3 conform")


def test_the_evidence_of_the_violation_stays(runs: list[Finished], shared: Suite) -> None:
    folder = shared.directory / shared.results()["demo/once"]["evidence"]
    assert '"observation":1' in (folder / "attempt-1" / "observations.jsonl").read_text(), runs[-1].output


def test_a_whole_run_begins_anew(runs: list[Finished], shared: Suite) -> None:
    again = shared.run(*KEEPING)
    assert (again.code, shared.verdicts()["demo/once"]) == (1, "conforms"), runs[-1].output + again.output


def test_where_nothing_failed_it_begins_anew(suite: Suite) -> None:
    suite.write('''
@check(MUST, "demo.rule")
async def test_mended(mesh):
    """It does not, in the first run."""
    before = pathlib.Path("before.txt")
    found = before.exists()
    before.touch()
    expect(found).equals(True)
''')
    codes = [suite.run("--mesh=envoy", *KEEPING, *arguments).code for arguments in ((), ("--lf",), ("--lf",))]
    assert (codes, suite.verdicts()["demo/mended"]) == ([1, 1, 0], "conforms")


def test_a_violation_that_is_listed_since_is_known(shared: Suite) -> None:
    shared.write("violates")
    assert shared.run(*KEEPING).code == 1
    (shared.path / "known.toml").write_text("[[known]]\ncheck = 'demo/violates'\nreason = 'r'\nlink = 'l'\n")
    assert shared.run(*KEEPING, "--lf", "--mesh-expectations=known.toml").code == 0
    assert shared.verdicts() == {"demo/violates": "known-violation"}


def test_attempts_are_counted_on(shared: Suite) -> None:
    shared.write('''
@check(MUST, "demo.rule")
async def test_never(mesh, client):
    """It does not."""
    mesh.measure("run", 1)
    expect(1).equals(2)
''')
    for arguments in ((), ("--lf",), ("--lf",)):
        shared.run(*KEEPING, *arguments)
    folder = shared.directory / shared.results()["demo/never"]["evidence"]
    assert sorted(path.name for path in folder.iterdir()) == ["attempt-1", "attempt-2", "attempt-3"]
