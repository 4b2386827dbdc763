"""Programs that only write down how they are called, and a place of one's own for the records of runs."""

from pathlib import Path

import pytest

from pytest_meshcheck.platforms.containers import PROVIDER


class Programs:
    """The only programs on the PATH: scripts that write down how they are called."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.calls = path / "calls"

    def add(self, name: str, script: str) -> None:
        program = self.path / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> {self.calls}\n{script}\n')
        program.chmod(0o755)

    def called(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(PROVIDER, raising=False)
    return Programs(tmp_path)


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the records of runs are."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "meshcheck"
