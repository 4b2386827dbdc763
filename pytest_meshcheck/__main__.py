"""``meshcheck``: what is done beside a run of pytest."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_meshcheck.commands import clean, publish, rbac, report


@dataclass(frozen=True)
class Command:
    """What can be asked for.

    Attributes:
        summary: For ``meshcheck --help``.
        description: For its own help.
        add_arguments: Declares its options.
        run: Does it; returns the exit code.
    """

    summary: str
    description: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


COMMANDS = {
    "report": Command(report.SUMMARY, report.SUMMARY, report.add_arguments, report.run),
    "publish": Command(publish.SUMMARY, publish.SUMMARY, publish.add_arguments, publish.run),
    "clean": Command(clean.SUMMARY, clean.DESCRIPTION, clean.add_arguments, clean.run),
    "rbac": Command(rbac.SUMMARY, rbac.SUMMARY, rbac.add_arguments, rbac.run),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the commands; returns the exit code."""
    parser = argparse.ArgumentParser(prog="meshcheck", description="Beside `pytest --mesh=NAME`, which judges a mesh.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        command.add_arguments(commands.add_parser(name, help=command.summary, description=command.description))
    options = parser.parse_args(arguments)
    return COMMANDS[options.command].run(options)


if __name__ == "__main__":
    sys.exit(main())
