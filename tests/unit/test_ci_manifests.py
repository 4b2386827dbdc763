"""The workflow for a user's own manifests: its scripts do what they are to do, and its options exist."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_meshcheck import options

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "examples" / "ci" / "manifests.yml"
WORKFLOW: dict[str, Any] = yaml.load(FILE.read_text("utf-8"), yaml.BaseLoader)  # for which `on` is a word
PAGE = (ROOT / "docs" / "your-configuration.md").read_text("utf-8")
(JOB,) = WORKFLOW["jobs"].values()
SCRIPTS = {step["name"]: step["run"] for step in JOB["steps"] if "run" in step}
EXAMPLE = ROOT / "examples" / "payments"
AS_TOLD = """
pytest() { printf '%s\\n' "$@" > "told-$STEP"; printf %s "$GITHUB_STEP_SUMMARY" > "summary-$STEP"; return "$CODE"; }
"""
GIT = ("git", "-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "init.defaultBranch=main")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The example project in a repository, and the commit that a pull request goes to in the file base."""
    project = shutil.copytree(EXAMPLE, tmp_path / "project", ignore=shutil.ignore_patterns(".*", "__*"))
    for command in (("init", "-q"), ("add", "."), ("commit", "-qm", "before")):
        subprocess.run([*GIT, *command], cwd=project, check=True)
    base = subprocess.run([*GIT, "rev-parse", "HEAD"], cwd=project, check=True, capture_output=True, text=True)
    (tmp_path / "base-commit").write_text(base.stdout.strip())
    mesh = project / "k8s" / "mesh.yaml"
    mesh.write_text(mesh.read_text().replace("timeout: 2s", "timeout: 3s"))
    return project


def run(project: Path, step: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """A script as the runner runs it, with a pytest that writes down how it is called, and ends with this code."""
    told = project.parent / "told.sh"
    told.write_text(AS_TOLD)
    given = {
        "BASH_ENV": str(told),
        "STEP": step,
        "CODE": str(code),
        "VERSION": JOB["env"]["VERSION"],
        "BASE": (project.parent / "base-commit").read_text(),
        "RUNNER_TEMP": str(project.parent),
        "GITHUB_STEP_SUMMARY": "summary.md",
    }
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", SCRIPTS[step]],
        cwd=project,
        env=os.environ | given,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def told(project: Path, step: str) -> list[str]:
    return (project / f"told-{step}").read_text().splitlines()


def test_it_is_pinned_and_may_do_little() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert "permissions" not in JOB
    assert [
        step["uses"] for step in JOB["steps"] if not re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "a/b@v1"))
    ] == []
    assert [script for script in SCRIPTS.values() if "${{" in script] == []


def test_every_option_exists() -> None:
    used = set(re.findall(r"--mesh[a-z-]*", "".join(SCRIPTS.values())))
    assert len(used) == 5
    assert used <= {option.flag for option in options.OPTIONS}


def test_the_manifests_of_the_branch_it_goes_to_are_the_baseline(repository: Path) -> None:
    done = run(repository, "before")
    assert done.returncode == 0, done.stderr
    (manifests,) = [one.partition("=")[2] for one in told(repository, "before") if "--mesh-manifests=" in one]
    assert (Path(manifests) / "mesh.yaml").read_text() == (EXAMPLE / "k8s" / "mesh.yaml").read_text()
    assert run(repository, "after").returncode == 0
    assert "--mesh-baseline=before/istio-1.30.3/report.json" in told(repository, "after")
    assert "--mesh-report=before" in told(repository, "before")


def test_only_what_the_pull_request_does_is_in_the_summary(repository: Path) -> None:
    for step, summary in (("before", ""), ("after", "summary.md")):
        run(repository, step)
        assert (repository / f"summary-{step}").read_text() == summary


CODES = {
    # how pytest ends: the step before the change, and the step after it
    0: (0, 0),
    1: (0, 1),
    3: (1, 3),
    4: (1, 4),
}


@pytest.mark.parametrize("code", CODES)
def test_what_violates_already_does_not_fail_the_pull_request(code: int, repository: Path) -> None:
    assert (run(repository, "before", code).returncode, run(repository, "after", code).returncode) == CODES[code]


def test_what_it_calls_collects_the_checks_and_the_tests_of_the_project(repository: Path) -> None:
    run(repository, "after")
    arguments = ["--mesh=none" if one.startswith("--mesh=") else one for one in told(repository, "after")]
    arguments = [one for one in arguments if "baseline" not in one]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--collect-only", "-q", *arguments]
    modules = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    listed = subprocess.run(
        command, cwd=repository, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": modules}
    )
    assert listed.returncode == 0, listed.stdout + listed.stderr
    assert "tests/test_payments.py::test_nobody_else_pays[none]" in listed.stdout
    assert "test_access.py::test_access[none-shop/payments:8080]" in listed.stdout


def test_the_page_quotes_its_steps() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert blocks
    assert [block for block in blocks if block not in FILE.read_text("utf-8")] == []
