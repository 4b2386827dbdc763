"""The kill table of a suite: the defects that each of its checks has caught."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from pytest_meshcheck.checks.requirements import CatalogueError

KILL_TABLE = "kill_table.json"
"""The file name in the root of a suite."""

Kills = dict[str, tuple[str, ...]]
"""By the id of a check, with its parameters, if any."""


def kill_table(roots: Iterable[Path]) -> Kills:
    """The defects that each check has caught, from the suites with such a file.

    Raises:
        CatalogueError: A file is not a kill table.
    """
    table: Kills = {}
    for path in (root / KILL_TABLE for root in roots):
        try:
            table |= msgspec.json.decode(path.read_bytes(), type=Kills) if path.is_file() else {}
        except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
            raise CatalogueError(
                f"{path}: {error}; a kill table has a list of texts for the id of each check"
            ) from error
    return table
