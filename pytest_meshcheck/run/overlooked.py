"""``--mesh-report ../reports``: pytest takes the path for one of tests, and looks for its ini file from there.

It does so before it knows the options of plugins; by ``=`` nothing can be mistaken.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

INI_FILES = (
    # name, the sections that make it one for pytest; none: it is one in any case
    ("pytest.toml", ()),
    (".pytest.toml", ()),
    ("pytest.ini", ()),
    (".pytest.ini", ()),
    ("pyproject.toml", ("[tool.pytest]", "[tool.pytest.ini_options]")),
    ("tox.ini", ("[pytest]",)),
    ("setup.cfg", ("[tool:pytest]",)),
)
"""In pytest's order."""


def refuse_overlooked_ini(config: pytest.Config, spaced: Iterable[tuple[str, str]]) -> None:
    """UsageError where an ini file was not read because of a path behind a space; ``spaced`` are flags and paths."""
    wanted = _ini_file(_start(config))
    if wanted is None or config.option.inifilename or wanted == config.inipath:
        return
    for flag, value in spaced:
        raise pytest.UsageError(
            f"{flag} {value}: pytest takes what follows a space for a path of tests, and has not read {wanted}: "
            f"write {flag}={value}"
        )


def _start(config: pytest.Config) -> Path:
    """Where pytest begins to look for its ini file: above all paths of tests."""
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
