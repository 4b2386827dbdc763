"""For all tests of the project."""

from pathlib import Path

import pytest

pytest_plugins = ("pytester",)

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Under ``--dist=loadgroup`` the tests of a module, which share fixtures, share a worker, or they say which do."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None and item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.xdist_group(str(item.path.relative_to(HERE))))
