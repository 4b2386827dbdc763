"""A pytest plugin (``-p tests.falsify.ends``) that runs each check with the first and the last of its parameters only.

For runs in which every check comes to the same verdict whatever its parameters: all of them would take minutes.
"""

from itertools import groupby

import pytest


def _check(item: pytest.Item) -> tuple[str, str]:
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    return str(params.get("mesh_name", "")), item.nodeid.partition("[")[0]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the parameters in between."""
    of_check = [list(group) for _, group in groupby(sorted(items, key=_check), key=_check)]
    between = {item for group in of_check for item in group[1:-1]}
    config.hook.pytest_deselected(items=[item for item in items if item in between])
    items[:] = [item for item in items if item not in between]
