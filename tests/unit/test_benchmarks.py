"""The figures can be measured, and say at which commit they were."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def measured(*arguments: str, directory: Path, to: Path) -> list[dict[str, Any]]:
    command = [sys.executable, directory / "run.py", *arguments, "--short", "--json", to]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    figures: list[dict[str, Any]] = json.loads(to.read_text())
    return figures


def test_policies_and_load_can_be_measured(tmp_path: Path) -> None:
    figures = measured("policy", "load", directory=BENCHMARKS, to=tmp_path / "figures.json")
    values = {figure["name"]: figure["value"] for figure in figures}
    assert values["policy about a listener to effect (ms), median of 3"] > 0
    assert values["policy about a route to effect (ms), median of 3"] > 0
    assert values["requests sent at 100/s for 1 s"] > 0


def test_deployments_can_be_measured(tmp_path: Path) -> None:
    figures = measured("deploy", directory=BENCHMARKS, to=tmp_path / "figures.json")
    names = [figure["name"] for figure in figures]
    assert names == [f"deployment of {replicas} to serving (s), median of 1" for replicas in (1, 3)]
    assert min(figure["value"] for figure in figures) > 0


def test_what_the_convergence_cache_saves_can_be_measured(tmp_path: Path) -> None:
    figures = measured("cache", directory=BENCHMARKS, to=tmp_path / "figures.json")
    names = [figure["name"] for figure in figures]
    assert names == ["a late mesh, convergence cache on (s)", "a late mesh, convergence cache off (s)"]
    assert min(figure["value"] for figure in figures) > 0


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_a_figure_carries_the_commit_that_it_was_measured_at(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    shutil.copytree(BENCHMARKS, clone / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    git = ("git", "-C", str(clone), "-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "all"], check=True)
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], check=True, capture_output=True, text=True).stdout
    with (clone / "benchmarks" / "descendants.py").open("a") as file:
        file.write("# changed\n")
    figures = measured("policy", directory=clone / "benchmarks", to=tmp_path / "figures.json")
    assert {figure["commit"] for figure in figures} == {f"{head.strip()}+"}
