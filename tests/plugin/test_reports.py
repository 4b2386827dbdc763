"""What a run leaves behind: reports and evidence."""

import json
import re
import time
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from tests.plugin.conftest import Finished, Quick, Suite

REPORT = ["badge.json", "report.html", "report.json", "report.md"]

NO_ROUTE = """
def pytest_meshcheck_envoy_resources(workload, resources):
    for routes in resources["routes"]:
        routes["virtual_hosts"] = []
    return resources
"""

LEAK = '''
@check(MUST, "demo.rule", proves={Capability.CUSTOM_AUTHORITY})
async def test_leaks(mesh, client, server):
    """A key gets into everything that is kept."""
    minted = mesh.authority.issue("spiffe://cluster.local/ns/blue/sa/client", 3600.0)
    key = minted.key.decode()
    mesh.measure("credentials", key)
    await mesh.tls_request(client, server, minted)
    expect(key, key).equals("another")
'''


@pytest.fixture(scope="module")
def run(shared: Suite) -> Finished:
    """A run in which a defect was planted."""
    shared.write("conforms", "served", "inconclusive", "unsupported", conftest=NO_ROUTE)
    return shared.run(GITHUB_STEP_SUMMARY=str(shared.path / "summary.md"))


def test_the_report_is_valid_by_the_shipped_schema(run: Finished, shared: Suite) -> None:
    schema = json.loads(resources.files("pytest_meshcheck.report").joinpath("schema.json").read_text())
    jsonschema.validate(shared.report(), schema, jsonschema.Draft202012Validator)


def test_the_report_is_four_files(run: Finished, shared: Suite) -> None:
    files = sorted(path.name for path in shared.directory.iterdir() if path.is_file())
    assert files == REPORT


def test_a_result_has_what_readers_rely_on(run: Finished, shared: Suite) -> None:
    served = shared.results()["demo/served"]
    assert served["level"] == "MUST"
    assert served["requirement"] == "demo.rule"
    assert served["seconds"] > 0
    assert served["needs"] == ["strict-mtls"]
    assert served["description"] == "An enrolled client is served under strict mutual TLS."


def test_a_violation_keeps_its_request_and_how_long_its_policy_took(run: Finished, shared: Suite) -> None:
    history = shared.results()["demo/served"]["history"]
    request = history["request"]
    assert (request["client"], request["server"], request["status"]) == ("blue/client", "blue/server", 404)
    assert 0 < request["seconds"] < 10
    assert request["attempts"] == [], "nothing reached the server, which was asked for that"
    (seconds,) = history["policies"]["MutualTls"]
    assert 0 < seconds < 10
    assert "history" not in shared.results()["demo/conforms"]
    assert re.match(r"it was answered 404 after (\d+ ms|\d+\.\d{3} s)", shared.results()["demo/served"]["actual"])


def test_the_report_tells_the_run(run: Finished, shared: Suite) -> None:
    report = shared.report()
    assert report["complete"] is True
    assert report["mesh"]["name"] == "envoy"
    assert report["platform"] == "local processes"
    assert {"mesh", "workload blue/server", "workload blue/client"} <= set(report["steps"])


def test_claimed_and_observed_stand_side_by_side(run: Finished, shared: Suite) -> None:
    rows = {row["name"]: (row["claimed"], row["observed"]) for row in shared.report()["capabilities"]}
    assert rows["strict-mtls"] == (True, "contradicted")
    assert rows["kubernetes"] == (False, "not-observed")


BUILDS = '''
@pytest.mark.parametrize("how", ["http", pytest.param("grpc", marks=proves(Capability.RETRY_GRPC))])
@check(MUST, "demo.rule", proves={Capability.RETRY, Capability.RETRY_GRPC}, uses={Capability.CUSTOM_AUTHORITY})
async def test_builds(mesh, how):
    """It builds on the authority."""
    expect(how).equals("http")
'''


def test_a_violation_contradicts_what_the_check_proves_alone(suite: Suite, quick: Quick) -> None:
    suite.write(BUILDS)
    quick("--mesh=envoy")
    result = suite.results()["demo/builds[grpc]"]
    assert (result["needs"], result["proves"]) == (["custom-authority", "retry", "retry-grpc"], ["retry-grpc"])
    observed = {row["name"]: row["observed"] for row in suite.report()["capabilities"]}
    assert observed["custom-authority"] == "not-observed"
    assert (observed["retry"], observed["retry-grpc"]) == ("confirmed", "contradicted")
    assert "no check proves it" in (suite.directory / "report.md").read_text()


def test_a_violation_has_a_folder_of_evidence(run: Finished, shared: Suite) -> None:
    folder = shared.directory / shared.results()["demo/served"]["evidence"]
    kinds = [json.loads(line)["kind"] for line in (folder / "observations.jsonl").read_text().splitlines()]
    assert "exchange" in kinds
    assert "policy" in kinds


def test_the_evidence_has_the_state_of_the_mesh(run: Finished, shared: Suite) -> None:
    state = {path.name for path in (shared.directory / "demo" / "served" / "state").iterdir()}
    assert any("config" in name for name in state)
    assert any(name.endswith(".log") for name in state)


def test_the_state_is_that_under_the_policy(run: Finished, shared: Suite) -> None:
    manifests = json.loads((shared.directory / "demo" / "served" / "manifests.json").read_text())
    assert "strict" in json.dumps(manifests)


def test_only_what_went_wrong_has_evidence(run: Finished, shared: Suite) -> None:
    assert folders(shared) == ["inconclusive", "served"]


def test_the_summary_names_the_evidence(run: Finished, shared: Suite) -> None:
    assert run.has(f"evidence     {shared.directory / 'demo' / 'served'}/")


def test_the_summary_of_a_job_is_added_to(run: Finished, shared: Suite) -> None:
    summary = (shared.path / "summary.md").read_text()
    assert "demo/served" in summary
    assert summary.strip() == (shared.directory / "report.md").read_text().strip()


def test_each_mesh_is_added_to_the_summary_of_a_job(suite: Suite) -> None:
    suite.write("conforms")
    (suite.path / "summary.md").write_text("before\n")
    suite.run(GITHUB_STEP_SUMMARY=str(suite.path / "summary.md"))
    assert (suite.path / "summary.md").read_text().startswith("before\n")


@pytest.mark.parametrize("artifacts", ["always", "on-violation"])
def test_no_private_key_is_kept(suite: Suite, quick: Quick, artifacts: str) -> None:
    suite.write("served", LEAK)
    quick("--mesh=envoy", f"--mesh-artifacts={artifacts}").assert_outcomes(passed=1, failed=1)
    files = [path for path in suite.directory.rglob("*") if path.is_file()]
    assert len(files) > 6
    assert [path for path in files if b"PRIVATE KEY" in path.read_bytes()] == []


def test_no_private_key_is_printed(suite: Suite, quick: Quick) -> None:
    suite.write(LEAK)
    assert "PRIVATE KEY" not in quick("--mesh=envoy", "--tb=no").stdout.str()


def folders(suite: Suite) -> list[str]:
    """The checks that have evidence."""
    return sorted(path.name for path in (suite.directory / "demo").glob("*"))


def test_artifacts_always(suite: Suite, quick: Quick) -> None:
    suite.write("served", "violates", "inconclusive")
    quick("--mesh=envoy", "--mesh-artifacts=always")
    assert folders(suite) == ["inconclusive", "served", "violates"]


def test_artifacts_never(suite: Suite, quick: Quick) -> None:
    suite.write("served", "violates")
    quick("--mesh=envoy", "--mesh-artifacts=never")
    assert folders(suite) == []


def test_artifacts_on_violation(suite: Suite, quick: Quick) -> None:
    suite.write("served", "violates", "inconclusive", "unsupported")
    quick("--mesh=envoy")
    assert folders(suite) == ["inconclusive", "violates"]


def test_evidence_of_an_earlier_run_goes(suite: Suite, quick: Quick) -> None:
    suite.write("violates")
    quick("--mesh=envoy")
    first = (suite.directory / "demo" / "violates" / "state").stat().st_mtime_ns
    quick("--mesh=envoy")
    assert (suite.directory / "demo" / "violates" / "state").stat().st_mtime_ns > first


def test_evidence_goes_with_the_violation(suite: Suite, quick: Quick) -> None:
    suite.write("violates", "inconclusive", "conforms")
    quick("--mesh=envoy")
    assert folders(suite) == ["inconclusive", "violates"]
    quick("--mesh=envoy", "-k", "inconclusive")
    assert folders(suite) == ["inconclusive"]
    suite.write("conforms")
    quick("--mesh=envoy")
    assert sorted(path.name for path in suite.directory.iterdir()) == REPORT


def test_what_is_beside_the_report_stays(suite: Suite, quick: Quick) -> None:
    suite.write("violates")
    quick("--mesh=envoy")
    (suite.directory / "mine.txt").write_text("mine")
    quick("--mesh=envoy")
    assert (suite.directory / "mine.txt").read_text() == "mine"


WAITS = '''
@check(MUST, "demo.rule")
async def test_waits(mesh):
    """It goes on until another run has ended."""
    pathlib.Path("begun").touch()
    while not pathlib.Path("end").exists():
        await asyncio.sleep(0.02)
    expect(1).equals(1)
'''


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "xdist"])
def test_a_second_run_is_refused_while_the_first_writes_there(suite: Suite, workers: tuple[str, ...]) -> None:
    suite.write(WAITS, "violates")
    (suite.path / "test_other.py").write_text("def test_other(): pass", "utf-8")
    first = suite.start("--mesh=envoy")
    while not (suite.path / "begun").exists() and first.poll() is None:
        time.sleep(0.02)
    second = suite.run("-k", "violates", *workers)
    without_checks = suite.run("test_other.py", *workers)
    beside = suite.run("-k", "violates", "--mesh-report=beside")
    only_looks = suite.run("--collect-only")
    again = suite.run("-k", "violates", "-p", "cacheprovider", "--lf", *workers)
    (suite.path / "end").touch()
    assert suite.finish(first).code == 1
    assert second.code == 4
    assert second.has(
        "--mesh-report: another run is writing its report to ", "choose another directory with --mesh-report=DIR"
    )
    assert (beside.code, only_looks.code, without_checks.code, again.code) == (1, 0, 0, 4)
    assert suite.verdicts() == {"demo/waits": "conforms", "demo/violates": "violates"}
    assert suite.run("-k", "violates").code == 1


def test_a_run_that_judges_nothing_leaves_no_directory(suite: Suite, quick: Quick) -> None:
    suite.write("conforms")
    quick("--mesh=envoy", "-k", "nothing")
    assert not (suite.path / "meshcheck-report").exists()


def test_a_report_elsewhere(suite: Suite, quick: Quick, tmp_path: Path) -> None:
    suite.write("conforms")
    quick("--mesh=envoy", f"--mesh-report={tmp_path / 'a' / 'b'}")
    assert list((tmp_path / "a" / "b").glob("envoy-*/report.json"))
    assert not (suite.path / "meshcheck-report").exists()


SWAPPED = '''
@check(MUST, "demo.rule")
async def test_first(mesh):
    """It does one of the two times."""
    expect(os.environ["TIME"]).equals("1")

@check(MUST, "demo.rule")
async def test_second(mesh):
    """It does one of the two times."""
    expect(os.environ["TIME"]).equals("2")
'''


def test_a_baseline_turns_a_run_into_better_worse_and_same(
    suite: Suite, quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.write("conforms", "inconclusive", SWAPPED)
    monkeypatch.setenv("TIME", "1")
    quick("--mesh=envoy", "--mesh-report=before")
    monkeypatch.setenv("TIME", "2")
    (before,) = (suite.path / "before").glob("envoy-*/report.json")
    result = quick("--mesh=envoy", f"--mesh-baseline={before}")
    changes = {change["id"]: change["change"] for change in suite.report()["baseline"]["changes"]}
    assert changes == {
        "demo/conforms": "same",
        "demo/first": "worse",
        "demo/second": "better",
        "demo/inconclusive": "unknown",
    }
    result.stdout.fnmatch_lines(
        [
            "baseline: against envoy *: 1 worse, 1 better, 1 same, 1 unknown",
            "  WORSE   demo/first: conforms -> violates",
            "  BETTER  demo/second: violates -> conforms",
        ]
    )


def test_what_is_measured_is_reported(suite: Suite, quick: Quick) -> None:
    suite.write('''
@check(MAY, "demo.rule")
async def test_measures(mesh):
    """It tells a figure."""
    mesh.measure("policy acts after (s)", 0.25)
''')
    quick("--mesh=envoy")
    assert suite.results()["demo/measures"]["measured"] == {"policy acts after (s)": 0.25}


def test_a_malformed_kill_table_is_refused_before_any_check_runs(suite: Suite, quick: Quick) -> None:
    suite.write("conforms")
    (suite.path / "kill_table.json").write_text('{"demo/conforms": "liar"}')
    result = quick("--mesh=envoy")
    assert (result.ret, (suite.path / "meshcheck-report").exists()) == (4, False)
    result.stderr.fnmatch_lines(["ERROR: */kill_table.json: Expected `array`*"])


def test_the_kill_table_of_a_suite_is_published(suite: Suite, quick: Quick) -> None:
    suite.write("conforms")
    (suite.path / "kill_table.json").write_text('{"demo/conforms": ["liar"]}')
    quick("--mesh=envoy")
    assert suite.report()["defects"] == {"demo/conforms": ["liar"]}
