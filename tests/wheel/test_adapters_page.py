"""ADAPTERS.md quotes the example: what it shows is what runs."""

import re
import textwrap
from inspect import get_annotations
from pathlib import Path

import pytest

from pytest_meshcheck.checks.check_ids import known_ids
from pytest_meshcheck.checks.expectations import read_expectations
from pytest_meshcheck.meshes.base import Mesh

from .test_wheel import SUITE

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
QUOTED = {"python": "*.py", "json": "*.json", "toml": "pyproject.toml"}
"""Language of a block -> the files of the examples that it is taken from."""


def blocks(*languages: str) -> list[tuple[str, str]]:
    found = BLOCK.finditer((ROOT / "ADAPTERS.md").read_text())
    return [(block["language"], block["text"]) for block in found if block["language"] in languages]


def is_expectations(text: str) -> bool:
    return text.startswith("[[known]]")


QUOTATIONS = [(language, text) for language, text in blocks(*QUOTED) if not is_expectations(text)]


@pytest.mark.parametrize(("language", "text"), QUOTATIONS, ids=lambda value: value.strip().partition("\n")[0][:40])
def test_a_block_is_a_quotation_of_the_example(language: str, text: str) -> None:
    sources = (path.read_text() for path in sorted((ROOT / "examples").rglob(QUOTED[language])))
    assert any(text in source for source in sources), f"in no file of examples/:\n{textwrap.indent(text, '  ')}"


def test_every_member_of_an_adapter_is_named() -> None:
    page = (ROOT / "ADAPTERS.md").read_text()
    members = {*get_annotations(Mesh), *(name for name in vars(Mesh) if not name.startswith("_"))}
    assert {"name", "render", "diagnose"} <= members
    assert [member for member in members if f"`{member}" not in page] == []


def test_the_command_is_the_one_that_is_tested() -> None:
    assert f"pytest {' '.join(SUITE)}\n" in [text for _, text in blocks("sh")]


def test_the_expectations_can_be_read(tmp_path: Path) -> None:
    file = tmp_path / "known.toml"
    (text,) = (text for _, text in blocks("toml") if is_expectations(text))
    file.write_text(text)
    (known,) = read_expectations(file, known_ids(ROOT / "conformance"))
    assert known.covers("retry/only-listed-conditions[429]")
