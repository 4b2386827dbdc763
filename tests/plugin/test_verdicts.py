"""What a check ends in, as pytest has it and as the report has it."""

import pytest

from tests.plugin.conftest import Finished, Quick, Suite

KNOWN = """
[[known]]
check = "demo/known"
reason = "It was never built."
link = "https://example.org/issues/7"

[[known]]
check = "demo/fixed"
reason = "It was broken once."
link = "https://example.org/issues/8"

[[known]]
check = "demo/known-but-inconclusive"
reason = "It breaks."
link = "https://example.org/issues/9"
"""

MORE = '''
@check(MUST, "demo.rule")
async def test_known(mesh):
    """It does not, as is known."""
    expect(1).equals(2)

@check(MUST, "demo.rule")
async def test_fixed(mesh):
    """It did not once."""
    expect(1).equals(1)

@check(MUST, "demo.rule")
async def test_known_but_inconclusive(mesh):
    """A known violation does not hide that nothing is known."""
    control(1).equals(2)

@check(MUST, "demo.rule")
async def test_broken(mesh):
    """It is not written well."""
    nonsense

@check(MUST, "demo.rule")
async def test_asserts(mesh):
    """A bare assert is not a violation."""
    assert 1 == 2

@check(MUST, "demo.rule")
async def test_inexpressible(mesh):
    """The mesh cannot express it."""
    raise Unsupported("retries per header: not in this mesh (https://example.org/retries)")

@pytest.mark.skip(reason="not today")
@check(MUST, "demo.rule")
async def test_skipped(mesh):
    """Somebody skips it."""

@pytest.fixture
def falling():
    raise OSError("no such thing")

@pytest.mark.xfail(reason="it is known to fail")
@check(MUST, "demo.rule")
async def test_expected_but_inconclusive(mesh):
    """Somebody expects it to fail, and nobody knows."""
    control(1).equals(2)

@pytest.mark.xfail(reason="it is known to fail")
@check(MUST, "demo.rule")
async def test_expected(mesh):
    """It does not, as somebody expects."""
    expect(1).equals(2)

@check(MUST, "demo.rule")
async def test_without_fixture(mesh, falling):
    """What it stands on breaks."""
'''

VERDICTS = {
    "demo/conforms": "conforms",
    "demo/violates": "violates",
    "demo/inconclusive": "inconclusive",
    "demo/unsupported": "unsupported",
    "demo/known": "known-violation",
    "demo/fixed": "fixed",
    "demo/known-but-inconclusive": "inconclusive",
    "demo/expected-but-inconclusive": "inconclusive",
    "demo/expected": "known-violation",
    "demo/broken": "inconclusive",
    "demo/asserts": "inconclusive",
    "demo/inexpressible": "unsupported",
    "demo/skipped": "not-run",
    "demo/without-fixture": "inconclusive",
}


@pytest.fixture(scope="module")
def run(shared: Suite) -> Finished:
    """A run with every verdict in it."""
    shared.write("conforms", "violates", "inconclusive", "unsupported", MORE, known_toml=KNOWN)
    return shared.run("-rA", "--mesh-expectations=known.toml")


@pytest.mark.parametrize("name", VERDICTS)
def test_verdict(run: Finished, shared: Suite, name: str) -> None:
    assert shared.verdicts()[name] == VERDICTS[name], run.output


def test_nothing_else_is_reported(run: Finished, shared: Suite) -> None:
    assert set(shared.verdicts()) == set(VERDICTS), run.output


def test_pytest_counts_them_in_its_own_words(run: Finished) -> None:
    assert run.has("2 failed, 1 passed, 3 skipped, 2 xfailed, 6 errors")


def test_a_violation_says_expected_and_actual(run: Finished, shared: Suite) -> None:
    assert run.has("Violation: expected one: 2, but it is 1")
    violates = shared.results()["demo/violates"]
    assert (violates["expected"], violates["actual"]) == ("one: 2", "it is 1")


def test_an_inconclusive_check_says_why(run: Finished, shared: Suite) -> None:
    assert run.has("control failed: expected 2, but it is 1")
    assert shared.results()["demo/inconclusive"]["reason"] == "control failed: expected 2, but it is 1"


def test_an_ordinary_exception_is_named(run: Finished, shared: Suite) -> None:
    assert shared.results()["demo/broken"]["reason"] == "NameError: name 'nonsense' is not defined"


def test_a_broken_fixture_is_named(run: Finished, shared: Suite) -> None:
    assert shared.results()["demo/without-fixture"]["reason"] == "OSError: no such thing"


def test_an_unsupported_check_names_capability_note_and_source(run: Finished, shared: Suite) -> None:
    reason = shared.results()["demo/unsupported"]["reason"]
    assert reason.startswith("needs kubernetes: ")
    assert "https://" in reason
    assert run.has(reason)


def test_what_the_mesh_cannot_express_says_why(run: Finished, shared: Suite) -> None:
    reason = shared.results()["demo/inexpressible"]["reason"]
    assert reason == "retries per header: not in this mesh (https://example.org/retries)"


def test_a_known_violation_carries_reason_and_link(run: Finished, shared: Suite) -> None:
    known = shared.results()["demo/known"]
    assert (known["reason"], known["link"]) == ("It was never built.", "https://example.org/issues/7")
    assert run.has("It was never built. (https://example.org/issues/7)")


def test_a_known_violation_says_what_was_seen(run: Finished, shared: Suite) -> None:
    known = shared.results()["demo/known"]
    assert (known["expected"], known["actual"]) == ("2", "it is 1")


def test_a_fixed_check_asks_for_the_removal_of_its_entry(run: Finished) -> None:
    assert run.has("FIXED  demo/fixed", "it conforms: remove its entry from the expectations")


def test_a_skipped_check_says_why_it_was_not_run(run: Finished, shared: Suite) -> None:
    assert shared.results()["demo/skipped"]["reason"] == "not today"


EXIT_CODES = {
    ("conforms",): 0,
    ("violates",): 1,
    ("conforms", "inconclusive"): 1,
    ("conforms", "unsupported"): 0,
    ("unsupported",): 5,
    (): 5,
}


@pytest.mark.parametrize(("checks", "code"), EXIT_CODES.items(), ids=[" ".join(checks) for checks in EXIT_CODES])
def test_exit_code(suite: Suite, quick: Quick, checks: tuple[str, ...], code: int) -> None:
    suite.write(*checks)
    assert quick("--mesh=envoy").ret == code


def test_a_run_of_known_violations_ends_well(suite: Suite, quick: Quick) -> None:
    suite.write(MORE, known_toml=KNOWN)
    result = quick("--mesh=envoy", "--mesh-expectations=known.toml", "-k", "demo/known and not inconclusive")
    result.assert_outcomes(xfailed=1, deselected=9)
    assert result.ret == 0


def test_a_fixed_check_fails_the_run(suite: Suite, quick: Quick) -> None:
    suite.write(MORE, known_toml=KNOWN)
    assert quick("--mesh=envoy", "--mesh-expectations=known.toml", "-k", "demo/fixed").ret == 1


def test_an_error_of_pytest_ends_with_code_3(suite: Suite) -> None:
    suite.write("conforms", conftest="def pytest_runtest_logfinish():\n    raise RuntimeError('out of order')\n")
    run = suite.run()
    assert run.code == 3
    assert run.has("out of order")
    assert suite.verdicts() == {"demo/conforms": "conforms"}
    assert suite.report()["complete"] is False


def test_what_a_suite_ships_is_expected_by_default(suite: Suite, quick: Quick) -> None:
    suite.write("violates")
    (suite.path / "expectations").mkdir()
    (suite.path / "expectations" / "envoy.toml").write_text(
        '[[known]]\ncheck = "demo/violates"\nreason = "So it is."\nlink = "https://example.org"\n'
    )
    quick("--mesh=envoy").assert_outcomes(xfailed=1)


def test_an_entry_for_one_parameter_covers_no_other(suite: Suite, quick: Quick) -> None:
    entry = '[[known]]\ncheck = "demo/parameters[3]"\nreason = "Too large."\nlink = "https://example.org"\n'
    suite.write("parameters", known_toml=entry)
    quick("--mesh=envoy", "--mesh-expectations=known.toml").assert_outcomes(passed=2, xfailed=1)


NO_ROUTE = """
def pytest_meshcheck_envoy_resources(workload, resources):
    for routes in resources["routes"]:
        routes["virtual_hosts"] = []
    return resources
"""


def test_a_planted_defect_is_a_violation(suite: Suite, quick: Quick) -> None:
    suite.write("served", conftest=NO_ROUTE)
    quick("--mesh=envoy").assert_outcomes(failed=1)
    assert suite.verdicts() == {"demo/served": "violates"}
    assert "answered 404" in suite.results()["demo/served"]["actual"]


def test_a_sound_mesh_conforms(suite: Suite, quick: Quick) -> None:
    suite.write("served", "refused")
    quick("--mesh=envoy").assert_outcomes(passed=2)


STARVED = '''
PENDING = "pod blue-7f3a2c/{}-6d5f on no node: PodScheduled is False: 0/1 nodes are available: 1 Insufficient cpu."

@pytest.mark.parametrize("pod", ["client", "server", "other"])
@check(MUST, "demo.rule")
async def test_starved(mesh, pod):
    """No node has room for its pod."""
    raise Inconclusive(PENDING.format(pod))
'''


def test_a_reason_of_several_checks_is_shown_in_full_once_by_pytest_and_once_in_the_summary(
    suite: Suite, quick: Quick
) -> None:
    suite.write(STARVED)
    run = quick("--mesh=envoy", "-ra")
    run.assert_outcomes(errors=3)
    assert run.stdout.str().count("PodScheduled is False") == 2
    as_the_first = "Insufficient cpu (as demo/starved[[]client[]])"
    run.stdout.fnmatch_lines(
        [
            "*ERROR at setup of test_starved[[]envoy-server[]]*",
            as_the_first,
            "*ERROR at setup of test_starved[[]envoy-other[]]*",
            as_the_first,
            "ERROR *test_starved[[]envoy-client[]] - Insufficient cpu",
            "ERROR *test_starved[[]envoy-server[]] - Insufficient cpu*",
            "ERROR *test_starved[[]envoy-other[]] - Insufficient cpu*",
        ]
    )


def test_every_reason_is_shown_in_full_where_the_style_of_tracebacks_is_asked_for(suite: Suite, quick: Quick) -> None:
    suite.write(STARVED)
    shown = quick("--mesh=envoy", "--tb=short").stdout.str()
    assert shown.count("E   pytest_meshcheck.model.errors.Inconclusive: pod blue-7f3a2c/") == 3
