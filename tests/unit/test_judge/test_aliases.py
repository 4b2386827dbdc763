"""Ids of an earlier version, and what is refused of their declaration."""

from pathlib import Path

import pytest

from pytest_meshcheck.checks.aliases import Alias, aliases, applied
from pytest_meshcheck.checks.requirements import CatalogueError

CHECKS = "".join(f"@check(1)\nasync def test_{name}(): ...\n" for name in ("a", "b", "kept"))
DECLARED = '[aliases."demo/old"]\nids = ["demo/a", "demo/b[1]", "demo/b[2]"]\nuntil = "2.0"\n'


def suite(root: Path, declared: str) -> Path:
    """A suite with three checks that declares this."""
    (root / "demo").mkdir()
    (root / "demo" / "test_demo.py").write_text(CHECKS)
    (root / "suite.toml").write_text(declared)
    return root


def test_an_alias_is_declared(tmp_path: Path) -> None:
    assert aliases(suite(tmp_path, DECLARED)) == {
        "demo/old": Alias("demo/old", ("demo/a", "demo/b[1]", "demo/b[2]"), "2.0")
    }


def test_a_suite_without_the_file_has_none(tmp_path: Path) -> None:
    assert aliases(tmp_path) == {}


def test_an_alias_names_what_replaces_it_and_when_it_goes(tmp_path: Path) -> None:
    (alias,) = aliases(suite(tmp_path, DECLARED)).values()
    assert str(alias) == "demo/old is now demo/a, demo/b[1], [2]; 2.0 no longer knows the old id"


@pytest.mark.parametrize(
    ("identifier", "replaces"),
    [("demo/a", True), ("demo/a[9]", True), ("demo/b[1]", True), ("demo/b[3]", False), ("demo/kept", False)],
)
def test_a_check_replaces_an_old_id(tmp_path: Path, identifier: str, *, replaces: bool) -> None:
    assert applied(aliases(suite(tmp_path, DECLARED)), identifier) == ["demo/old"] * replaces


@pytest.mark.parametrize(
    ("selection", "named"),
    [("demo/old", True), ("not (old or x)", True), ("demo/a", False)],
)
def test_a_selection_names_an_old_id(selection: str, *, named: bool) -> None:
    assert Alias("demo/old", ("demo/a",), "2.0").is_named_in(selection) is named


# content of suite.toml, what is said
REFUSED = {
    "[aliases": "suite.toml: Expected",
    "[alias]": "suite.toml: unknown key 'alias'; the only one is [aliases]",
    "aliases = 3": "suite.toml: aliases is a table",
    "[aliases.'demo/old']\nids = ['demo/a']": "suite.toml: [aliases.'demo/old'] has exactly",
    "[aliases.'demo/old']\nids = []\nuntil = '2.0'": "suite.toml: [aliases.'demo/old'] has exactly",
    "[aliases.'demo/old']\nids = [3]\nuntil = '2.0'": "suite.toml: [aliases.'demo/old'] has exactly",
    "[aliases.'demo/old']\nids = ['demo/a']\nuntil = '2.0'\nwhy = 'x'": "suite.toml: [aliases.'demo/old'] has exactly",
    "[aliases.'demo/old']\nids = ['demo/z']\nuntil = '2.0'": "suite.toml: [aliases.'demo/old']: no check 'demo/z'",
    "[aliases.'demo/kept']\nids = ['demo/a']\nuntil = '2.0'": "suite.toml: [aliases.'demo/kept'] is the id of a check",
}


@pytest.mark.parametrize("content", REFUSED)
def test_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(CatalogueError) as refusal:
        aliases(suite(tmp_path, content))
    assert REFUSED[content] in str(refusal.value)
