"""The command that repeats one check from anywhere, with the same options, quoted for a shell."""

import functools
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from pytest_meshcheck.run.items import parameters_of, repetition_of

PACKAGE = Path(__file__).parents[1]
OURS = ("conformance", "configuration")
"""The suites of the package."""

REPEATED = (
    # pytest's attribute, option
    ("inifilename", "-c"),
    ("rootdir", "--rootdir"),
    ("plugins", "-p"),
    ("override_ini", "-o"),
)
"""pytest's own options that affect conftest.py, ini file and plugins of a run."""


def command(item: pytest.Item, options: Iterable[str]) -> str:
    """The command for one item; ``options`` are the options of this plugin."""
    return shlex.join(("pytest", *_of_pytest(item.config), *options, *_selection(item)))


def _of_pytest(config: pytest.Config) -> Iterator[str]:
    for name, flag in REPEATED:
        given = getattr(config.option, name, None) or ()
        for value in (given,) if isinstance(given, str) else given:
            if not value.startswith("no:"):
                yield from (f"{flag}={value}",) if flag.startswith("--") else (flag, value)


def _selection(item: pytest.Item) -> tuple[str, ...]:
    test = item.nodeid.partition("::")[2]
    if repetition_of(item) and isinstance(item, pytest.Function):
        test = f"{test.removesuffix(f'[{item.callspec.id}]')}[{parameters_of(item)}]"
    if module := _importable_as(item.path, pyargs=bool(item.config.option.pyargs)):
        return "--pyargs", f"{module}::{test}"
    here = item.config.invocation_params.dir
    if item.path.is_relative_to(here):
        return (f"{item.path.relative_to(here)}::{test}",)
    ini = ("-c", str(item.config.inipath)) if item.config.inipath and not item.config.option.inifilename else ()
    return *ini, f"{item.path}::{test}"


@functools.cache
def _importable_as(path: Path, *, pyargs: bool) -> str | None:
    """The module name of a file for ``--pyargs``; for suites other than ours only if the user selected it that way."""
    for suite in OURS:
        if path.resolve().is_relative_to(folder := (PACKAGE / suite).resolve()):
            return ".".join((PACKAGE.name, suite, *path.resolve().relative_to(folder).with_suffix("").parts))
    packages = [folder for folder in path.parents if (folder / "__init__.py").is_file()]
    if not pyargs or not packages or str(packages[-1].parent) not in sys.path:
        return None
    return ".".join(path.relative_to(packages[-1].parent).with_suffix("").parts)
