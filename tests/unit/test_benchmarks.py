"""Figures say at which commit they were measured; ``.ci/run`` measures every one."""

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
