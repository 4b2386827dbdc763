"""The JSON Schema of report.json; ``python -m pytest_meshcheck.report.schema`` prints it."""

import inspect
import sys
from importlib import resources
from typing import Any

import msgspec

from pytest_meshcheck.report.model import SCHEMA, Report

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def generate() -> dict[str, Any]:
    """The schema generated from the structs."""
    schema = _cleaned(msgspec.json.schema(Report))
    return {"$schema": DIALECT, "title": f"report.json of pytest-meshcheck, layout {SCHEMA}", **schema}


def _cleaned(part: Any) -> Any:
    """A copy with dedented docstrings: some versions of msgspec leave them indented."""
    match part:
        case dict():
            return {
                name: inspect.cleandoc(value) if name == "description" and isinstance(value, str) else _cleaned(value)
                for name, value in part.items()
            }
        case list():
            return [_cleaned(one) for one in part]
    return part


def text() -> str:
    """The text of the generated schema."""
    return msgspec.json.format(msgspec.json.encode(generate()), indent=2).decode() + "\n"


def shipped() -> str:
    """The text of the shipped file."""
    return resources.files("pytest_meshcheck.report").joinpath("schema.json").read_text("utf-8")


if __name__ == "__main__":
    sys.stdout.write(text())
