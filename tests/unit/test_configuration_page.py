"""docs/your-configuration.md can be followed: its commands run on examples/payments, as far as none needs a cluster."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_meshcheck.checks.access import Access, Outcome
from pytest_meshcheck.checks.verdict import Level, Result, Verdict
from pytest_meshcheck.report.model import MeshVersion, Report, encode

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "your-configuration.md").read_text("utf-8")
EXAMPLE = ROOT / "examples" / "payments"
(SHOWN,) = re.findall(r"^## In ten minutes$.*?^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = SHOWN.splitlines()
RUNS = [command for command in COMMANDS if command.startswith("pytest ")]
WHAT = {"tests": "tests/test_payments.py::", "checks": "own/test_access.py::"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return shutil.copytree(EXAMPLE, tmp_path / "payments", ignore=shutil.ignore_patterns(".*", "__*"))


def run(command: str, project: Path) -> subprocess.CompletedProcess[str]:
    modules = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    given = {"PYTHONPATH": modules, "PATH": programs}
    return subprocess.run(
        ["bash", "-c", command], cwd=project, capture_output=True, text=True, check=False, env=os.environ | given
    )


@pytest.mark.parametrize("command", RUNS)
def test_each_run_selects_the_checks_or_the_tests(command: str, project: Path) -> None:
    collected = f"{command.replace('--mesh=istio', '--mesh=none')} --collect-only -q -p no:cacheprovider"
    done = run(collected, project)
    assert done.returncode == 0, done.stdout + done.stderr
    selected = "tests" if "tests" in shlex.split(command) else "checks"
    assert [name for name, line in WHAT.items() if line in done.stdout] == [selected]


def seen(caller: str, outcome: Outcome) -> Access:
    return Access(
        destination="shop/payments:8080",
        caller=caller,
        enrolled=caller != "outsider",
        outcome=outcome,
        arrived=outcome is Outcome.SERVED,
    )


def test_what_is_written_down_of_a_report_is_read_by_the_next_run(project: Path) -> None:
    result = Result(
        id="own/access[shop/payments:8080]",
        verdict=Verdict.CONFORMS,
        level=Level.MAY,
        requirement="own.access",
        description="Who?",
        seconds=1.0,
        access=(seen("shop/orders", Outcome.SERVED), seen("outsider", Outcome.REFUSED)),
    )
    report = Report(
        meshcheck="0.1.0",
        mesh=MeshVersion("istio", "1.30.3"),
        platform="kind",
        started="2026-11-28T10:00:00+00:00",
        seconds=1.0,
        level=Level.MAY,
        results=(result,),
    )
    (command,) = [one for one in COMMANDS if one.startswith("meshcheck expect ")]
    file = project / shlex.split(command)[2]
    file.parent.mkdir(parents=True)
    file.write_bytes(encode(report))
    done = run(command, project)
    assert done.returncode == 0, done.stderr
    assert 'from = ["shop/orders"]' in (project / "k8s" / "meshcheck.toml").read_text()
    again = run(f"{RUNS[1].replace('--mesh=istio', '--mesh=none')} --collect-only -q -p no:cacheprovider", project)
    assert "test_access_is_as_expected[none-shop/payments:8080]" in again.stdout, again.stdout + again.stderr


@pytest.mark.parametrize("block", re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
def test_the_test_shown_is_one_of_the_example(block: str) -> None:
    assert block in (EXAMPLE / "tests" / "test_payments.py").read_text("utf-8")


def test_each_step_is_explained() -> None:
    steps = re.findall(r"^\d\. ", PAGE.partition("## In ten minutes")[2].partition("\n## ")[0], re.MULTILINE)
    assert len(steps) == len(COMMANDS)
