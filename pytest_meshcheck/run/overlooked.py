"""``--mesh-report ../reports``: pytest takes the path for a path of tests, and searches its ini file there.

It does so before it knows the options of plugins; ``=`` avoids that.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

INI_FILES = (
    # name, the sections that make it an ini file; empty if it always is one
    ("pytest.toml", ()),
    (".pytest.toml", ()),
    ("pytest.ini", ()),
    (".pytest.ini", ()),
    ("pyproject.toml", ("[tool.pytest]", "[tool.pytest.ini_options]")),
    ("tox.ini", ("[pytest]",)),
    ("setup.cfg", ("[tool:pytest]",)),
)
"""The names of ini files, in pytest's order."""


def refuse_overlooked_ini(config: pytest.Config, spaced: Iterable[tuple[str, str]]) -> None:
    """UsageError if pytest overlooked an ini file because of a path after a space, one of ``spaced`` (flag, path)."""
    wanted = _ini_file(_start(config))
    if wanted is None or config.option.inifilename or wanted == config.inipath:
        return
    for flag, value in spaced:
        raise pytest.UsageError(
            f"{flag} {value}: pytest takes a value after a space for a path of tests, and has not read {wanted}: "
            f"write {flag}={value}"
        )


def _start(config: pytest.Config) -> Path:
    """The directory where pytest starts to search its ini file: the common parent of all test paths."""
    here = config.invocation_params.dir
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        return here
    paths = [here / argument.partition("::")[0] for argument in config.args]
    folders = [path if path.is_dir() else path.parent for path in paths if path.exists()]
    return Path(os.path.commonpath(folders)) if folders else here


def _ini_file(start: Path) -> Path | None:
    found = (path for folder in (start, *start.parents) for path in _ini_files_in(folder))
    return next(found, None)


def _ini_files_in(folder: Path) -> Iterator[Path]:
    for name, sections in INI_FILES:
        path = folder / name
        if path.is_file() and (not sections or any(section in path.read_text("utf-8") for section in sections)):
            yield path
