"""Wheels and environments, made once."""

from pathlib import Path

import pytest

from .installation import EXAMPLE, ROOT, Environment, build_wheel


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel") / "project")


@pytest.fixture(scope="session")
def without_acme(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Environment:
    """The project is installed, no other mesh is."""
    return Environment(tmp_path_factory.mktemp("without") / "venv", wheel)


@pytest.fixture(scope="session")
def with_acme(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Environment:
    """The project and the example are installed."""
    example = build_wheel(EXAMPLE, tmp_path_factory.mktemp("wheel") / "example")
    return Environment(tmp_path_factory.mktemp("with") / "venv", wheel, example)
