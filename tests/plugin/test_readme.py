"""The README's check in a project of its own, with what the README says it needs."""

import re
from pathlib import Path

from tests.plugin.conftest import Suite

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
HEAD = "import pytest\nfrom pytest_meshcheck.suite import *\n"
CONSTANTS = "LIMITS = (1, 2)\n"


def shown(language: str) -> str:
    """The only block of a language in the README."""
    (block,) = re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return str(block)


def test_the_check_of_the_readme_runs_in_an_empty_project(suite: Suite) -> None:
    suite.write()
    for line in HEAD.splitlines():
        assert f"`{line}`" in README
    (suite.path / "requirements.toml").write_text(shown("toml"))
    (suite.path / "test_mine.py").write_text(HEAD + CONSTANTS + shown("python"))
    run = suite.run("test_mine.py")
    assert run.code == 0, run.output
    assert set(suite.verdicts().values()) == {"conforms"}
