"""For all tests of the project."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_meshcheck.platforms.containers import PROVIDER
from tests.forked import FORKED
from tests.programs import Programs

pytest_plugins = ("pytester",)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of ``tests/falsify``, which has to be declared above it."""
    parser.addoption(
        "--every-defect",
        action="store_true",
        help="Plant all defects, look for clauses that none needs, and run more parameters on meshes that do nothing; "
        "by default each check sees one defect or a few.",
    )


@pytest.fixture(scope="session")
def forked_runs() -> Iterator[None]:
    """Starts the process that runs are forks of, and ends it."""
    with FORKED:
        yield


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """The only programs there are."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(PROVIDER, raising=False)
    return Programs(tmp_path)
