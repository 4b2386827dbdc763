"""``meshcheck``: companion commands for ``pytest --mesh=NAME``."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_meshcheck.commands import clean, doctor, expect, publish, rbac, report


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        summary: Its line in ``meshcheck --help``.
        description: The head of its own help.
        add_arguments: Declares its options.
        run: Runs it; returns the exit code.
    """

    summary: str
    description: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


COMMANDS = {
    "report": Command(report.SUMMARY, report.SUMMARY, report.add_arguments, report.run),
    "expect": Command(expect.SUMMARY, expect.DESCRIPTION, expect.add_arguments, expect.run),
    "publish": Command(publish.SUMMARY, publish.SUMMARY, publish.add_arguments, publish.run),
    "clean": Command(clean.SUMMARY, clean.DESCRIPTION, clean.add_arguments, clean.run),
    "rbac": Command(rbac.SUMMARY, rbac.SUMMARY, rbac.add_arguments, rbac.run),
    "doctor": Command(doctor.SUMMARY, doctor.DESCRIPTION, doctor.add_arguments, doctor.run),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the commands; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="meshcheck", description="Companion commands for `pytest --mesh=NAME`, which tests a mesh."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        command.add_arguments(commands.add_parser(name, help=command.summary, description=command.description))
    options = parser.parse_args(arguments)
    return COMMANDS[options.command].run(options)


if __name__ == "__main__":
    sys.exit(main())
