"""A pytest plugin (``-p tests.falsify.ends``) that runs each check with the first and the last of its parameters only.

For runs in which every check comes to the same verdict whatever its parameters: all of them would take minutes.
``--first-end`` leaves out the last as well. What belongs to the slow lane is not counted as an end.
"""

from itertools import groupby

import pytest


def _check(item: pytest.Item) -> tuple[str, str]:
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    return str(params.get("mesh_name", "")), item.nodeid.partition("[")[0]


def _is_slow(item: pytest.Item) -> bool:
    return item.get_closest_marker("mesh_slow") is not None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption("--first-end", action="store_true", help="Run each check with the first of its parameters only.")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the other parameters."""
    quick = sorted((item for item in items if not _is_slow(item)), key=_check)
    of_check = [list(group) for _, group in groupby(quick, key=_check)]
    end = None if config.getoption("first_end") else -1
    others = {item for group in of_check for item in group[1:end]}
    config.hook.pytest_deselected(items=[item for item in items if item in others])
    items[:] = [item for item in items if item not in others]
