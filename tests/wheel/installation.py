"""Wheels of the project and of the example, and environments that they alone are installed in."""

import json
import os
import site
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "acme-mesh"
OURS = ("pytest_meshcheck", "acme_mesh")
PATIENCE = 180.0


def build_wheel(project: Path, target: Path) -> Path:
    """Build the wheel of a project with the build backend that is installed."""
    target.mkdir()
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(project)]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE)
    (wheel,) = target.glob("*.whl")
    return wheel


@dataclass(frozen=True)
class Finished:
    """A run of pytest that has ended."""

    code: int
    output: str


class Environment:
    """A virtual environment with the dependencies of this one, but nothing of ours except the given wheels."""

    def __init__(self, path: Path, *wheels: Path) -> None:
        self.path = path
        venv.create(path, with_pip=False)
        self.python = path / "bin" / "python"
        (self.site_packages / "dependencies.pth").write_text(f"{_dependencies(path / 'dependencies')}\n")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(self.python)]
        install = [*pip, "install", "--quiet", "--no-deps", "--no-index", *map(str, wheels)]
        subprocess.run(install, check=True, capture_output=True, text=True, timeout=PATIENCE)

    @property
    def site_packages(self) -> Path:
        """Where packages are installed."""
        (found,) = self.path.glob("lib/python*/site-packages")
        return found

    def pytest(self, *args: str, cwd: Path, **env: str) -> Finished:
        """Run pytest in a directory."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "PYTHON", "GITHUB"))}
        done = subprocess.run(
            [self.python, "-m", "pytest", *args],
            cwd=cwd,
            env={**inherited, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Finished(done.returncode, done.stdout)


def results(directory: Path) -> dict[str, dict[str, Any]]:
    """The results of the one report below a directory, by the check's id."""
    (path,) = directory.glob("meshcheck-report/*/report.json")
    return {result["id"]: result for result in json.loads(path.read_text())["results"]}


def _dependencies(directory: Path) -> Path:
    """A directory with links to all that is installed here but what is ours; no .pth file in it is ever read."""
    directory.mkdir()
    folders = map(Path, site.getsitepackages())
    for folder in filter(Path.is_dir, folders):
        for entry in folder.iterdir():
            link = directory / entry.name
            if not link.exists() and not entry.name.startswith(OURS) and entry.suffix != ".pth":
                link.symlink_to(entry)
    return directory
