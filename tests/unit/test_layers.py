"""Imports point downwards only, in no circle; every module is in a layer, and checks import `suite` alone.

A kind of policy and a protocol of the probe are known to few modules, so that another one is added in few places.
"""

import re
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from pytest_meshcheck.model import policy
from pytest_meshcheck.model.policy import Policy, ServerPolicy, ServicePolicy

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pytest_meshcheck"
MOST_OF_A_POLICY = 10
MOST_OF_A_PROTOCOL = 7


def naming(word: str) -> set[str]:
    """The modules of the package that contain a word; the suite is only linked into it."""
    return {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if "conformance" not in path.parts and re.search(rf"\b{word}\b", path.read_text("utf-8"))
    }


def kinds_of_policies() -> list[str]:
    """The names of all kinds, without those of their bases."""
    bases = (Policy, ServerPolicy, ServicePolicy)
    kinds = {name: kind for name, kind in vars(policy).items() if isinstance(kind, type) and issubclass(kind, Policy)}
    return [name for name, kind in kinds.items() if kind not in bases]


@pytest.mark.parametrize("kind", kinds_of_policies())
def test_few_modules_name_a_kind_of_policy(kind: str) -> None:
    assert 2 <= len(naming(kind)) <= MOST_OF_A_POLICY, naming(kind)


def test_few_modules_name_a_protocol_of_the_probe() -> None:
    of_the_probe = {module for module in naming("(WEBSOCKET|websocket)") if module.startswith("probe/")}
    assert 2 <= len(of_the_probe) <= MOST_OF_A_PROTOCOL, of_the_probe


def test_imports_keep_to_the_layers() -> None:
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), cache_dir=None) == EXIT_STATUS_SUCCESS
