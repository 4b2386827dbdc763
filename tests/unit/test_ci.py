"""The workflow that others call: its inputs are documented, its options exist, its scripts do what they are to do."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_meshcheck import options
from pytest_meshcheck.__main__ import COMMANDS
from pytest_meshcheck.meshes.registry import Registry

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = ROOT / ".github" / "workflows"
WORKFLOW = yaml.load((WORKFLOWS / "conformance.yml").read_text(), yaml.BaseLoader)  # for which `on` is a word
EXAMPLE = yaml.load((ROOT / "examples" / "ci" / "conformance.yml").read_text(), yaml.BaseLoader)
PAGE = (ROOT / "docs" / "ci.md").read_text()
DOCUMENTS = [(ROOT / "README.md").read_text(), *(page.read_text() for page in (ROOT / "docs").glob("*.md"))]

CALL = WORKFLOW["on"]["workflow_call"]
INPUTS: dict[str, dict[str, str]] = CALL["inputs"]
STEPS = {name: job["steps"] for name, job in WORKFLOW["jobs"].items()}
SCRIPTS = {f"{job}/{step['name']}": step["run"] for job, steps in STEPS.items() for step in steps if "run" in step}
QUOTED = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)]


def step(job: str, name: str) -> dict[str, Any]:
    (found,) = (one for one in STEPS[job] if one.get("name") == name)
    return found


def run(directory: Path, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A script as the runner runs it, with the programs of this environment."""
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    modules = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    given = {"PATH": programs, "PYTHONPATH": modules, "RUNNER_TEMP": str(directory)}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=directory,
        env={**os.environ, **given, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def judge(directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The script that judges, with the defaults of the inputs where nothing else is given."""
    names = step("judge", "test")["env"]
    defaults = {
        variable: INPUTS[match[1]].get("default", "")
        for variable, value in names.items()
        if (match := re.fullmatch(r"\$\{\{ inputs\.([a-z-]+) \}\}", value))
    }
    return run(directory, step("judge", "test")["run"], **{**dict.fromkeys(names, ""), **defaults, **environment})


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two real runs of the script that judges, as the job that merges downloads them."""
    directory = tmp_path_factory.mktemp("ci")
    for check in ("permissive-accepts-both[http]", "svid-is-no-ca[server]"):
        suite = f"-p no:cacheprovider {ROOT / 'conformance'} -k '{check}'"
        judged = judge(directory, MESH="envoy", PYTEST_ADDOPTS=suite, WORKERS="1")
        assert judged.returncode == 0, judged.stdout + judged.stderr
        artifact = directory / "reports" / f"meshcheck-report-{check}"
        artifact.parent.mkdir(exist_ok=True)
        (directory / "meshcheck-report").rename(artifact)
    return directory


def test_the_documented_inputs_are_those_there_are() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \|.*\| (.*) \|$", PAGE, re.MULTILINE))
    assert list(rows) == list(INPUTS)
    for name, declared in INPUTS.items():
        if default := declared.get("default"):
            assert rows[name] == f"`{default}`", name
        assert (rows[name] == "required") == (declared.get("required") == "true"), name


def test_every_input_is_used_and_no_other() -> None:
    text = (WORKFLOWS / "conformance.yml").read_text()
    assert set(re.findall(r"inputs\.([a-z-]+)", text)) == set(INPUTS)
    assert set(re.findall(r"secrets\.([a-z-]+)", text)) == set(CALL["secrets"])


def test_every_option_exists() -> None:
    flags = {option.flag for option in options.OPTIONS}
    used = set(re.findall(r"--mesh[a-z-]*", "".join(SCRIPTS.values()) + PAGE))
    assert len(used) > 8
    assert used <= flags


def test_every_command_exists(tmp_path: Path) -> None:
    shown = "\n".join([*SCRIPTS.values(), *DOCUMENTS])
    commands = re.findall(r"(?:^|`|\| )meshcheck ([a-z]+)([^`#|\n]*)", shown, re.MULTILINE)
    assert {command for command, _ in commands} == set(COMMANDS)
    said = {command: run(tmp_path, f"meshcheck {command} --help").stdout for command in COMMANDS}
    for command, arguments in commands:
        assert set(re.findall(r"--[a-z-]+", arguments)) <= set(re.findall(r"--[a-z-]+", said[command])), command


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_nothing_that_is_given_becomes_code(script: str) -> None:
    assert "${{" not in script, "what is between these is pasted into the script: hand it over in env"


@pytest.mark.parametrize("path", sorted(WORKFLOWS.glob("*.yml")), ids=lambda path: path.stem)
def test_a_workflow_is_pinned_and_may_do_little(path: Path) -> None:
    workflow = yaml.load(path.read_text(), yaml.BaseLoader)
    assert workflow["permissions"] == {"contents": "read"}
    assert "group" in workflow["concurrency"]
    for name, job in workflow["jobs"].items():
        assert job.get("permissions", {}) == {}, name
        for one in job["steps"]:
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", one.get("uses", "a/b@v1")), one


WITH_VALUE = ("-c", "-e", "-m", "-n", "-p")
"""Options of pip, Python and pytest whose value is the next word."""


def gist(command: str) -> tuple[str, ...]:
    """The program of a command and what it is about, without options."""
    words = shlex.split(command.removeprefix("python -m "), comments=True)
    values = {number + 1 for number, word in enumerate(words) if word in WITH_VALUE}
    return tuple(word for number, word in enumerate(words) if number not in values and not word.startswith("-"))[:2]


def test_the_workflow_runs_all_that_has_to_hold_before_a_change_lands() -> None:
    jobs = yaml.safe_load((WORKFLOWS / "ci.yml").read_text())["jobs"]
    scripts = [one["run"] for job in jobs.values() for one in job["steps"] if "run" in one]
    there = {gist(line) for script in scripts for line in script.splitlines()}
    wanted = {gist(line) for line in re.findall(r"^    run (.+)$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)}
    shown = {one for one in wanted if one[0] == "cat"}
    assert len(wanted) > 10
    assert wanted - shown <= there


def test_one_mesh_does_not_end_the_others() -> None:
    assert WORKFLOW["jobs"]["judge"]["strategy"]["fail-fast"] == "false"
    assert WORKFLOW["jobs"]["matrix"]["needs"] == "judge"
    assert WORKFLOW["jobs"]["matrix"]["if"] == "${{ !cancelled() }}"


@pytest.mark.parametrize(
    "call", [*EXAMPLE["jobs"].values(), *(block["jobs"]["meshes"] for block in QUOTED if "jobs" in block)]
)
def test_the_calls_shown_can_be_made(call: dict[str, Any]) -> None:
    assert call["uses"].partition("/")[2].partition("@")[0] == "pytest-meshcheck/.github/workflows/conformance.yml"
    assert_can_be_given(call)


@pytest.mark.parametrize("block", [block for block in QUOTED if "with" in block])
def test_the_inputs_shown_can_be_given(block: dict[str, Any]) -> None:
    assert_can_be_given(block)


def assert_can_be_given(call: dict[str, Any]) -> None:
    assert set(call["with"]) <= set(INPUTS)
    assert set(call.get("secrets", {})) <= set(CALL["secrets"])
    meshes = json.loads(call["with"]["meshes"])
    assert {mesh.partition("@")[0] for mesh in meshes} <= set(Registry.installed().entries)


def test_the_reports_are_merged_into_one_page_and_the_summary(reports: Path) -> None:
    summary = reports / "summary.md"
    summary.write_text("before\n")
    merged = run(reports, step("matrix", "merge")["run"], GITHUB_STEP_SUMMARY=str(summary))
    assert merged.returncode == 0, merged.stderr
    assert {path.name for path in (reports / "matrix").iterdir()} == {"matrix.html", "matrix.json", "matrix.md"}
    assert summary.read_text() == "before\n" + (reports / "matrix" / "matrix.md").read_text()
    matrix = json.loads((reports / "matrix" / "matrix.json").read_text())
    verdicts = {row["id"]: row["verdicts"] for row in matrix["checks"]}
    assert verdicts["mtls/permissive-accepts-both[http]"] == ["conforms", "not-run"]
    assert verdicts["identity/svid-is-no-ca[server]"] == ["not-run", "conforms"]


def test_without_any_report_merging_says_so(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    merged = run(tmp_path, step("matrix", "merge")["run"], GITHUB_STEP_SUMMARY=str(tmp_path / "summary.md"))
    assert merged.returncode == 1
    assert "::error::no mesh has a report" in merged.stdout
    assert not (tmp_path / "matrix").exists()


def test_a_mesh_that_fails_fails_the_matrix(tmp_path: Path) -> None:
    verdict = step("matrix", "verdict")
    assert verdict["if"] == "needs.judge.result != 'success'"
    assert run(tmp_path, verdict["run"]).returncode == 1
    assert STEPS["matrix"][-1] == verdict, "what comes after it would not be kept"


ARGUMENTS = {
    # what is given -> what pytest is told
    "nothing": ({}, ["--mesh=istio@1.30.3", "--mesh-level=may", "--mesh-report=meshcheck-report"]),
    "places with blanks": (
        {"CHARTS": "my charts", "VALUES": "a b.yaml"},
        ["--mesh-charts=my charts", "--mesh-values=a b.yaml"],
    ),
    "a cluster": (
        {"KUBECONFIG_TEXT": "apiVersion: v1", "CONTEXT": "staging", "INSTALLED": "true", "PROBE_IMAGE": "r/p:1"},
        [
            "--mesh-kubeconfig={temp}/kubeconfig",
            "--mesh-context=staging",
            "--mesh-probe-image=r/p:1",
            "--mesh-installed",
        ],
    ),
    "a kind cluster": (
        {"KUBERNETES": "k:1", "KIND_CONFIG": "k.yaml"},
        ["--mesh-kind-image=k:1", "--mesh-kind-config=k.yaml"],
    ),
    "one file of expectations": ({"EXPECTATIONS": "known/istio.toml"}, ["--mesh-expectations=known/istio.toml"]),
    "expectations by mesh": ({"EXPECTATIONS": "known"}, ["--mesh-expectations=known/istio.toml"]),
    "expectations of others": ({"EXPECTATIONS": "known", "MESH": "linkerd"}, ["--mesh=linkerd"]),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_inputs_become_options(name: str, tmp_path: Path) -> None:
    given, expected = ARGUMENTS[name]
    (tmp_path / "known").mkdir()
    (tmp_path / "known" / "istio.toml").touch()
    told = judge(tmp_path, **{"MESH": "istio@1.30.3", **given, "BASH_ENV": str(_tells(tmp_path))})
    assert told.returncode == 0, told.stderr
    arguments = told.stdout.splitlines()
    assert arguments[:2] == ["-n", "2"]
    for argument in expected:
        assert argument.format(temp=tmp_path) in arguments
    assert len([one for one in arguments if "expectations" in one]) == sum("expectations" in one for one in expected)


def test_a_kubeconfig_is_for_its_owner_only(tmp_path: Path) -> None:
    judge(tmp_path, MESH="istio", KUBECONFIG_TEXT="apiVersion: v1\nkind: Config", BASH_ENV=str(_tells(tmp_path)))
    assert (tmp_path / "kubeconfig").read_text() == "apiVersion: v1\nkind: Config\n"
    assert (tmp_path / "kubeconfig").stat().st_mode & 0o077 == 0


def _tells(directory: Path) -> Path:
    """What makes a shell say how pytest is called, a line per argument, and not call it."""
    path = directory / "tells.sh"
    path.write_text("pytest() { printf '%s\\n' \"$@\"; }\n")
    return path
