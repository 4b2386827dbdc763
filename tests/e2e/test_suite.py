"""Whole runs of the suite on a real cluster."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from pytest_meshcheck.checks.verdict import Verdict
from pytest_meshcheck.report.model import Report
from tests.falsify.clusters import NETWORK_POLICIES, OF_A_DATA_PLANE
from tests.falsify.judged import FIRST_END

from .conftest import Given

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 1200.0


def check_of(result: str) -> str:
    """The id of a check without parameters."""
    return result.partition("[")[0]


def start(given: Given, folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Start a run in a session of its own."""
    command = [sys.executable, "-m", "pytest", "conformance", "-p", "no:cacheprovider", "--mesh=none", *given.options]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.Popen(
        [*command, f"--mesh-report={folder}", *arguments],
        cwd=ROOT,
        env=kept,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "two workers"])
def test_no_check_conforms_where_there_is_no_mesh(given: Given, tmp_path: Path, workers: tuple[str, ...]) -> None:
    before = given.namespaces()
    run = start(given, tmp_path, "--mesh-timeout-scale=0.3", "--mesh-artifacts=never", *FIRST_END, *workers)
    output, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, output
    report = msgspec.json.decode((tmp_path / "none-1" / "report.json").read_bytes(), type=Report)
    verdicts = {result.id: result.verdict for result in report.results}
    assert Verdict.VIOLATES in verdicts.values()
    assert Verdict.CONFORMS not in verdicts.values()
    run_at_all = {one: verdict for one, verdict in verdicts.items() if verdict is not Verdict.NOT_RUN}
    assert set(map(check_of, run_at_all)) == {check_of(one.id) for one in report.results if one.slow is not True}
    seen = {run_at_all[one] for one in run_at_all if check_of(one) in {*NETWORK_POLICIES} - {*OF_A_DATA_PLANE}}
    assert seen == {Verdict.VIOLATES}
    assert given.namespaces() <= before


def test_ctrl_c_leaves_nothing_behind(given: Given, tmp_path: Path) -> None:
    before = given.namespaces()
    run = start(given, tmp_path)
    until = time.monotonic() + 120
    while given.namespaces() <= before and time.monotonic() < until:
        time.sleep(0.2)
    assert given.namespaces() - before, "the run made no namespace"
    os.killpg(run.pid, signal.SIGINT)
    output, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == pytest.ExitCode.INTERRUPTED, output
    assert given.namespaces() <= before, output
