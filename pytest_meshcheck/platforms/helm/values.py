"""Helm values from the user: a YAML file that maps chart names to values."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

EVERY_CHART = "*"
"""Stands for the name of every chart."""

SHAPE = "valid is a mapping from the name of a chart, or '*' for every chart, to values for it"


class ValuesUnreadable(Exception):
    """The file cannot be used; the message has the place and the valid values."""


def read_values(path: Path) -> dict[str, dict[str, Any]]:
    """The values by chart.

    Raises:
        ValuesUnreadable: The file does not exist, or is not of this shape.
    """
    try:
        read = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise ValuesUnreadable(f"{path}: {_where(error)}; {SHAPE}.") from error
    if not isinstance(read, dict):
        raise ValuesUnreadable(f"{path} holds {_named(read)}; {SHAPE}.")
    for chart, values in read.items():
        if not isinstance(chart, str):
            raise ValuesUnreadable(f"{path}: {chart!r} is not a chart name, but {_named(chart)}; {SHAPE}.")
        if not isinstance(values, dict):
            raise ValuesUnreadable(f"{path}: {chart} is {_named(values)}; {SHAPE}.")
    return read


def overrides(values: Mapping[str, Mapping[str, Any]], chart: str) -> tuple[Mapping[str, Any], ...]:
    """The values that override an adapter's values for a chart: first for every chart, then for this one."""
    return tuple(values[name] for name in (EVERY_CHART, chart) if name in values)


def unknown_charts(values: Mapping[str, object], charts: Collection[str]) -> str:
    """An error message about names that are not among these charts; empty if all are.

    Without charts nothing is known to be wrong: a mesh may be installed otherwise.
    """
    unknown = sorted(values.keys() - set(charts) - {EVERY_CHART})
    if not charts or not unknown:
        return ""
    return f"no chart {', '.join(map(repr, unknown))}; available: {', '.join(sorted(charts))}, and '*' for every chart"


def _where(error: Exception) -> str:
    """A YAML error without the lines that it quotes, which can hold keys."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return (isinstance(error, OSError) and error.strerror) or str(error).splitlines()[0]


def _named(value: object) -> str:
    return {"NoneType": "nothing", "list": "a list", "str": "text"}.get(type(value).__name__, type(value).__name__)
