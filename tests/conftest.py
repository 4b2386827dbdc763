"""For all tests of the project."""

from pathlib import Path

import pytest

from pytest_meshcheck.platforms.kind.containers import PROVIDER
from tests.programs import Programs

pytest_plugins = ("pytester",)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """The only programs there are."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(PROVIDER, raising=False)
    return Programs(tmp_path)
