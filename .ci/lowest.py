"""Prints a constraint per requirement of the project: the lowest version that pyproject.toml allows."""

import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def lowest(requirement: Requirement) -> str:
    """``grpcio>=1.76`` -> ``grpcio==1.76``."""
    for specifier in requirement.specifier:
        if specifier.operator == ">=":
            return f"{requirement.name}=={specifier.version}"
    raise ValueError(f"{PROJECT}: {requirement} has no lower bound; write {requirement.name}>=VERSION")


def main() -> None:
    """Print the constraints."""
    project = tomllib.loads(PROJECT.read_text())["project"]
    requirements = (*project["dependencies"], *project["optional-dependencies"]["local"])
    sys.stdout.writelines(f"{lowest(Requirement(text))}\n" for text in requirements)


if __name__ == "__main__":
    main()
