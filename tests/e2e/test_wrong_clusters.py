"""Checks of the network on clusters whose network is set up wrongly."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from pytest_meshcheck.checks.verdict import Verdict
from pytest_meshcheck.report.model import Report
from tests.falsify.clusters import WRONG_CLUSTERS

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = "MESHCHECK_E2E_CILIUM"
"""The options with which Cilium is installed on a kind cluster of its own, as on a command line."""
VALUES = "--mesh-values="
CHART = "cilium"
NEW = "1.20.0"
PATIENCE = 1800.0

pytestmark = pytest.mark.skipif(OPTIONS not in os.environ, reason=f"needs the options for Cilium in {OPTIONS}")


def merged(into: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Values of a chart with others on top of them."""
    nested = {key: merged(into[key], more[key]) for key in more if isinstance(into.get(key), dict)}
    return {**into, **more, **nested}


def options(values: dict[str, Any], file: Path) -> list[str]:
    """The given options, with these values for Cilium's chart on top of theirs."""
    given = shlex.split(os.environ[OPTIONS])
    theirs = [one.removeprefix(VALUES) for one in given if one.startswith(VALUES)]
    before = yaml.safe_load(Path(theirs[0]).read_text("utf-8")) if theirs else {}
    file.write_text(yaml.safe_dump(merged(before, {CHART: values})), "utf-8")
    return [*(one for one in given if not one.startswith(VALUES)), f"{VALUES}{file}"]


@pytest.mark.parametrize(
    "name", [name for name, cluster in WRONG_CLUSTERS.items() if cluster.mesh.partition("-")[0] == CHART]
)
def test_what_is_wrong_is_found(name: str, tmp_path: Path) -> None:
    wrong = WRONG_CLUSTERS[name]
    old = wrong.upgraded_from
    chosen = " or ".join(check.partition("/")[2].replace("-", "_") for check in wrong.kills)
    command = [sys.executable, "-m", "pytest", "conformance", "-p", "no:cacheprovider", "-k", chosen]
    arguments = [
        *([f"--mesh={wrong.mesh}@{old}", f"--mesh-upgrade-to={NEW}"] if old else [f"--mesh={wrong.mesh}"]),
        *(["-p", wrong.plugin] if wrong.plugin else []),
        "--mesh-slow",
        *options(dict(wrong.values), tmp_path / "values.yaml"),
        f"--mesh-report={tmp_path}",
    ]
    run = subprocess.run(
        [*command, *arguments],
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout + run.stderr
    # An upgrade makes two reports: what watches it is in that of the new version.
    reports = [msgspec.json.decode(file.read_bytes(), type=Report) for file in tmp_path.glob("*/report.json")]
    results = [one for report in reports for one in report.results if one.verdict is not Verdict.NOT_RUN]
    judged = {one.id: one.verdict for one in results if one.id.partition("[")[0] in wrong.kills}
    assert {check.partition("[")[0] for check in judged} == {*wrong.kills}
    assert set(judged.values()) == {Verdict.VIOLATES}, judged
