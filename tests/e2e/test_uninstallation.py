"""Leftovers of an uninstalled mesh are found in each location."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from pytest_meshcheck.checks.verdict import Verdict
from pytest_meshcheck.report.model import Report
from tests.e2e.left_behind import FILE, NAME
from tests.falsify.clusters import UNINSTALLATION

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = "MESHCHECK_E2E_KIND"
"""The options with which a kind cluster is made, as on a command line."""
PATIENCE = 1200.0
FOUND = {
    "cluster-wide": f"['ClusterRole {NAME}']",
    "in-namespaces": f"['ConfigMap default/{NAME}']",
    "on-nodes": f": file {FILE}']",
}

pytestmark = pytest.mark.skipif(OPTIONS not in os.environ, reason=f"needs the options for a kind cluster in {OPTIONS}")


def test_what_is_left_is_found(tmp_path: Path) -> None:
    (check,) = UNINSTALLATION
    command = [sys.executable, "-m", "pytest", "conformance/lifecycle", "-p", "no:cacheprovider", "-k", check]
    arguments = ["-p", "tests.e2e.left_behind", f"--mesh={NAME}", "--mesh-slow", f"--mesh-report={tmp_path}"]
    run = subprocess.run(
        [*command, *arguments, *shlex.split(os.environ[OPTIONS])],
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout + run.stderr
    (file,) = tmp_path.glob("*/report.json")
    results = {one.id: one for one in msgspec.json.decode(file.read_bytes(), type=Report).results}
    for where, left in FOUND.items():
        result = results[f"{check}[{where}]"]
        assert result.verdict is Verdict.VIOLATES, result
        assert left in run.stdout
