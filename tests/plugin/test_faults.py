"""What breaks beneath a check is never held against the mesh, is named, and costs as little as can be."""

import contextlib
import re
import socket
import tomllib
from pathlib import Path

import pytest

from pytest_meshcheck.platforms.local import addresses
from tests.plugin.conftest import INI, Finished, Quick, Suite
from tests.plugin.namespaces import LOOPBACK_UP, in_shell, needs_namespaces

KILL = """
def kill(name, how=signal.SIGKILL):
    killed = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            mine = int((process / "stat").read_text().rpartition(")")[2].split()[1]) == os.getpid()
            folder = os.readlink(process / "cwd")
            command = (process / "cmdline").read_bytes().decode()
        except OSError:
            continue
        if mine and name in command + folder:
            killed.append(os.pidfd_open(int(process.name)))  # before its death: once reaped, it has no number
            os.kill(int(process.name), how)
    assert killed
    return killed
"""

# A kill, and what is asked of the mesh afterwards: with and without a policy, which asks the mesh itself.
KILLED = (
    KILL
    + '''
@check(MUST, "demo.rule")
async def test_{name}(mesh, client, server):
    """A process is killed in its middle."""
    control(await client.get(server)).answered()
    for end in kill("{victim}"):
        select.select([end], [], [])  # the forks of a killed server are killed when it has ended
    {then}
'''
)

ASKED = "expect(await client.get(server)).answered()"
UNDER_POLICY = """async with mesh.policy(MutualTls(server, Mode.STRICT)):
        expect(await client.get(server)).answered()"""


@pytest.mark.parametrize("then", [ASKED, UNDER_POLICY], ids=["asked", "under-policy"])
def test_a_killed_sidecar_is_inconclusive_with_its_log(suite: Suite, quick: Quick, then: str) -> None:
    suite.write(KILLED.format(name="killed", victim="blue.server", then=then))
    quick("--mesh=envoy").assert_outcomes(errors=1)
    result = suite.results()["demo/killed"]
    assert result["reason"].startswith(
        "the sidecar of blue/server died (signal SIGKILL); its log does not say why, and ends: "
    )
    assert len(result["reason"].splitlines()) == 1
    folder = suite.directory / result["evidence"]
    assert "exchange" in (folder / "exchanges.md").read_text()
    log = (folder / "state" / "sidecar-of-blue.server.log").read_text()
    assert result["reason"].partition("and ends: ")[2] in log


# What follows the crash of a sidecar: a request that shows it, one that takes it for a refusal, or nothing at all.
CRASHES = '''
@check(MUST, "demo.rule")
async def test_crashes(mesh, client, server):
    """The server's sidecar crashes."""
    (end,) = kill("blue.server", signal.SIGABRT)
    select.select([end], [], [])  # it goes on serving while it writes down where it was
    {then}
'''

CRASHES_AT_THE_END = '''
@check(MUST, "demo.rule")
async def test_crashes(mesh, client):
    """The sidecar of a workload that the check deploys crashes."""
    async with mesh.deploy(WorkloadSpec("blue", "extra")) as deployed:
        control(await client.get(deployed.service)).answered()
        (end,) = kill("blue.extra", signal.SIGABRT)
        select.select([end], [], [])
'''


@pytest.mark.parametrize(
    ("check", "name"),
    [
        pytest.param(CRASHES.format(then=ASKED), "server", id="failure"),
        pytest.param(
            CRASHES.format(then="expect(await client.get(server)).refused(mesh.documented.mtls.plaintext_refused_as)"),
            "server",
            id="refusal",
        ),
        pytest.param(CRASHES.format(then="pass"), "server", id="unnoticed"),
        pytest.param(CRASHES_AT_THE_END, "extra", id="removed"),
    ],
)
def test_a_crash_is_a_violation_quoted_by_its_first_critical_line(
    suite: Suite, quick: Quick, check: str, name: str
) -> None:
    suite.write(KILL + check)
    quick("--mesh=envoy").assert_outcomes(failed=1)
    result = suite.results()["demo/crashes"]
    assert result["expected"] == "data planes that survive what the check sends"
    assert result["actual"].startswith(f"the sidecar of blue/{name} died (signal SIGABRT); its log says: [")
    assert "[critical]" in result["actual"]
    assert "Caught Aborted" in result["actual"]


def test_the_log_of_a_crash_is_evidence(suite: Suite, quick: Quick) -> None:
    suite.write(KILL + CRASHES.format(then=ASKED))
    quick("--mesh=envoy").assert_outcomes(failed=1)
    result = suite.results()["demo/crashes"]
    log = (suite.directory / result["evidence"] / "state" / "sidecar-of-blue.server.log").read_text()
    assert "Backtrace" in log


def test_a_stage_that_does_not_start_leaves_its_logs(suite: Suite, quick: Quick) -> None:
    dies = 'resources["listeners"][0]["address"] = {}\n    return resources'
    suite.write("served", conftest=NONSENSE.format(body=dies))
    quick("--mesh=envoy").assert_outcomes(errors=1)
    folder = suite.directory / suite.results()["demo/served"]["evidence"]
    assert list((folder / "state").glob("sidecar-of-*.log"))


def test_killed_probes_are_inconclusive(suite: Suite, quick: Quick) -> None:
    suite.write(KILLED.format(name="killed", victim="pytest_meshcheck.probe", then=ASKED))
    quick("--mesh=envoy").assert_outcomes(errors=1)
    death, symptom = suite.results()["demo/killed"]["reason"].splitlines()
    assert re.match(r"the probe of \w+/\w+ died \(signal SIGKILL\); its log ", death)
    assert re.match(r"the probe of blue/\w+ is gone: ", symptom)


@pytest.mark.parametrize("victim", ["blue.server", "blue.client", "pytest_meshcheck.probe"])
def test_a_death_costs_one_check(suite: Suite, quick: Quick, victim: str) -> None:
    suite.write("refused", KILLED.format(name="killed", victim=victim, then=ASKED), "served")
    quick("--mesh=envoy").assert_outcomes(passed=2, errors=1)
    assert suite.verdicts() == {
        "demo/refused": "conforms",
        "demo/killed": "inconclusive",
        "demo/served": "conforms",
    }


def test_a_violation_on_a_dead_stage_is_no_violation(suite: Suite, quick: Quick) -> None:
    suite.write(
        KILLED.format(name="killed", victim="blue.server", then="await client.get(server)\n    expect(1).equals(2)")
    )
    quick("--mesh=envoy").assert_outcomes(errors=1)
    assert suite.verdicts() == {"demo/killed": "inconclusive"}


GARBAGE = """
def pytest_meshcheck_envoy_resources(workload, resources):
    if workload == "blue/server":
        resources["listeners"][0]["{field}"] = {value}
    return resources
"""

NONSENSE = """
def pytest_meshcheck_envoy_resources(workload, resources):
    {body}
"""


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [("address", "{}", "ListenerValidationError.Address"), ("no_such_field", "1", "no_such_field")],
    ids=["invalid", "unknown-field"],
)
def test_a_rejected_configuration_names_resource_and_reason(
    suite: Suite, quick: Quick, field: str, value: str, why: str
) -> None:
    suite.write("served", conftest=GARBAGE.format(field=field, value=value))
    quick("--mesh=envoy").assert_outcomes(errors=1)
    reason = suite.results()["demo/served"]["reason"]
    assert "the sidecar of blue/server rejects listeners" in reason
    assert why in reason


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("return {}", "listeners"),
        ("return 7", "got int"),
        ("raise RuntimeError('a defect of the defect')", "RuntimeError: a defect of the defect"),
    ],
    ids=["empty", "number", "raises"],
)
def test_a_hook_that_is_wrong_is_inconclusive(suite: Suite, quick: Quick, body: str, why: str) -> None:
    suite.write("served", "conforms", conftest=NONSENSE.format(body=body))
    quick("--mesh=envoy").assert_outcomes(errors=1, passed=1)
    assert why in suite.results()["demo/served"]["reason"]


FAILING = """
from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.suite import Inconclusive

class Failing(EnvoyMesh):
    name = "failing"

    async def {step}(self, *args):
        raise Inconclusive("no control plane after 60 s")

def failing(order):
    mesh = Failing(order.version)
    mesh.prepare()
    return mesh

def pytest_meshcheck_register_mesh(registry):
    registry.register("failing", failing)
"""


def test_a_mesh_that_does_not_start_is_inconclusive(suite: Suite) -> None:
    suite.write("conforms", "served", "unsupported", conftest=FAILING.format(step="install"))
    run = suite.run(mesh="failing")
    assert run.has("1 skipped, 2 errors")
    assert run.has("no control plane after 60 s")
    assert suite.run_directories() == []


def test_a_mesh_that_does_not_end_loses_nothing(suite: Suite) -> None:
    suite.write("conforms", "served", conftest=FAILING.format(step="uninstall"))
    run = suite.run(mesh="failing")
    assert run.code == 1
    assert run.has("no control plane after 60 s", "score: 2/2 conform")
    assert suite.is_gone()
    assert suite.run_directories() == []


def test_a_mesh_that_does_not_end_after_exitfirst_loses_nothing(suite: Suite) -> None:
    suite.write("violates", "served", conftest=FAILING.format(step="uninstall"))
    run = suite.run("-x", mesh="failing")
    assert run.code != 0
    assert list((suite.path / "meshcheck-report").glob("failing-*/report.json"))
    assert run.has("no control plane after 60 s")


def test_no_place_for_evidence_is_said_and_the_violation_stays(suite: Suite) -> None:
    suite.write("violates", "conforms")
    suite.run("-k", "conforms")
    (suite.directory / "demo").write_text("a file where the folder of the family has to be")
    run = suite.run()
    assert run.code == 1
    assert run.has("could not be written", "the state of the mesh could not be kept", "VIOLATES  demo/violates")
    assert suite.verdicts() == {"demo/violates": "violates", "demo/conforms": "conforms"}


def test_no_place_for_evidence_under_a_policy_leaves_the_violation(suite: Suite) -> None:
    suite.write(
        "conforms",
        "served",
        conftest=NONSENSE.format(body='for r in resources["routes"]: r["virtual_hosts"] = []\n    return resources'),
    )
    suite.run("-k", "conforms")
    (suite.directory / "demo").write_text("a file where the folder of the family has to be")
    run = suite.run("-n2")
    assert run.code == 1
    assert run.has("could not be written", "the state of the mesh could not be kept")
    assert suite.verdicts() == {"demo/served": "violates", "demo/conforms": "conforms"}


def on_full_disk(suite: Suite, *args: str) -> Finished:
    """A run whose report goes to a file system with no room."""
    disk = suite.path / "full"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=16k none '{disk}'"
    return suite.run(f"--mesh-report={disk}", *args, within=in_shell(LOOPBACK_UP, mount))


@needs_namespaces
def test_a_full_disk_is_said_and_what_was_judged_is_printed(suite: Suite) -> None:
    suite.write("conforms", "violates", "served")
    run = on_full_disk(suite)
    assert run.code == 1
    assert run.has("VIOLATES  demo/violates", "No space left on device", "Make room", "score: 2/3 conform")


@needs_namespaces
def test_a_full_disk_is_said_once(suite: Suite) -> None:
    suite.write("inconclusive", "violates", "parameters")
    run = on_full_disk(suite, "--mesh-artifacts=always")
    troubles = [line for line in run.output.splitlines() if line.startswith("meshcheck: ") and "No space left" in line]
    assert 0 < len(troubles) <= 3, run.output  # of evidence, of the state of the mesh, and of the report


@needs_namespaces
def test_a_report_that_is_not_written_is_no_success(suite: Suite) -> None:
    suite.write("conforms", "served")
    run = on_full_disk(suite, "--mesh-artifacts=always")
    assert run.code == 3, run.output
    assert run.has("No space left on device", "score: 2/2 conform")
    assert "report: " not in run.output.partition("score:")[2].partition("\n")[2] or run.has("(not written)")


def test_a_checkout_that_cannot_be_written_to_ends_without_a_traceback(
    suite: Suite, pytester: pytest.Pytester, tmp_path: Path
) -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    filters = "\n    ".join(project["tool"]["pytest"]["ini_options"]["filterwarnings"])
    suite.write("conforms", pytest_ini=f"{INI}filterwarnings =\n    {filters}\n")
    (suite.path / ".pytest_cache").write_text("root can write anywhere, but not into a file", "utf-8")
    run = pytester.runpytest_subprocess("--mesh=envoy", f"--mesh-report={tmp_path / 'elsewhere'}")
    assert run.ret == 0
    assert "could not create cache path" in run.stdout.str()
    assert "Traceback" not in run.stdout.str() + run.stderr.str()


def test_a_limit_on_file_size_is_said(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.write(
        "conforms",
        "violates",
        conftest="""
        import resource, signal

        def pytest_sessionfinish():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    """,
    )
    run = suite.run("-p", "no:cacheprovider")
    assert run.code == 1
    assert run.has("report.json could not be written: File too large", "VIOLATES  demo/violates", "(not written)")
    assert not list((suite.path / "meshcheck-report").rglob("report.json"))


def test_a_summary_of_a_job_that_cannot_be_written_is_said(suite: Suite) -> None:
    suite.write("conforms")
    run = suite.run(GITHUB_STEP_SUMMARY=str(suite.path))
    assert run.code == 0
    assert run.has("could not be written", "score: 1/1 conform")
    assert suite.verdicts() == {"demo/conforms": "conforms"}


def test_ports_in_use_are_gone_around(suite: Suite) -> None:
    suite.write("served")
    with socket.socket() as taken:
        # Every address of the machine, on the first port that a run would take; unless another run has it already.
        with contextlib.suppress(OSError):
            taken.bind(("0.0.0.0", addresses.PORT_BASES[0]))
        run = suite.run()
    assert run.code == 0, run.output


def test_two_runs_side_by_side(suite: Suite) -> None:
    suite.write("served", "refused")
    first, second = (suite.start("--mesh=envoy", f"--mesh-report={name}") for name in ("one", "two"))
    assert [suite.finish(run).code for run in (first, second)] == [0, 0]


CRASH = '''
@check(MUST, "demo.rule")
async def test_crashes(mesh, client, server):
    """It takes its process down."""
    os._exit(7)
'''


def test_a_crashed_worker_is_said_and_the_others_go_on(suite: Suite) -> None:
    suite.write("conforms", "served", CRASH, "refused")
    run = suite.run("-n2")
    assert run.code == 1, run.output
    assert run.has("test_crashes")
    verdicts = suite.verdicts()
    assert verdicts.pop("demo/crashes") in ("not-run", "inconclusive")
    assert verdicts == {"demo/conforms": "conforms", "demo/served": "conforms", "demo/refused": "conforms"}
    assert suite.report()["complete"] is False
    assert suite.is_gone()


def test_a_temporary_directory_of_any_length_will_do(suite: Suite) -> None:
    long = suite.temporary / ("x" * 60) / ("y" * 60)
    long.mkdir(parents=True)
    suite.write("served")
    run = suite.run(TMPDIR=str(long))
    assert run.code == 0, run.output
    assert list(long.iterdir()) == []
