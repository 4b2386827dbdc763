"""``meshcheck clean``: remove the resources of dead runs."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_meshcheck.commands.errors import BAD_INPUT, FAILED, failed
from pytest_meshcheck.model.errors import MeshUnavailable

if TYPE_CHECKING:
    from pytest_meshcheck.platforms.cleanup.leftovers import Leftover

SUMMARY = "Remove the resources of dead runs: kind clusters, namespaces, meshes, folders."
DESCRIPTION = f"""{SUMMARY} Each run keeps a record, locked while it lives, of the cluster that it creates or of the one
in which it creates namespaces. This command removes what the records of dead runs of this user name, and never what a
live run of this user uses."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``meshcheck clean``."""
    parser.add_argument("--dry-run", action="store_true", help="only list what would be removed")
    parser.add_argument(
        "--all",
        action="store_true",
        help="also remove resources with no known owner: kept kind clusters, and resources without a run record; "
        "unsafe on a shared machine or cluster, where they may belong to another user's run",
    )
    parser.add_argument(
        "--kubeconfig", type=Path, metavar="FILE", help="also look for namespaces in the cluster of this kubeconfig"
    )
    parser.add_argument("--context", metavar="NAME", help="also look for namespaces in the cluster of this context")


def run(options: argparse.Namespace) -> int:
    """Remove the leftovers, with one line of output for each; returns the exit code."""
    try:
        leftovers = list(_found(options))
    except MeshUnavailable as error:
        return failed(str(error), BAD_INPUT)
    if options.dry_run and not leftovers:
        sys.stdout.write("nothing to remove\n")
    done = [_treat(leftover, options) for leftover in leftovers]
    return 0 if all(done) else FAILED


def _found(options: argparse.Namespace) -> Iterator["Leftover"]:
    if options.kubeconfig and not options.kubeconfig.is_file():
        raise MeshUnavailable(f"--kubeconfig={options.kubeconfig}: no such file")
    # Kubernetes clients take half a second to load, and no other command needs them.
    from pytest_meshcheck.meshes.kubernetes.removal import uninstall  # noqa: PLC0415 - see above
    from pytest_meshcheck.platforms.cleanup.leftovers import (  # noqa: PLC0415 - see above
        in_cluster,
        of_dead_runs,
        of_nobody,
    )

    yield from of_dead_runs(uninstall)
    yield from of_nobody()
    if options.kubeconfig or options.context:
        yield from in_cluster(options.kubeconfig, options.context)


def _treat(leftover: "Leftover", options: argparse.Namespace) -> bool:
    """Remove, list or keep one leftover; returns whether that worked."""
    if leftover.doubt and not options.all:
        sys.stdout.write(f"kept: {leftover.what} ({leftover.doubt}); --all removes it\n")
        return True
    if options.dry_run:
        sys.stdout.write(f"would be removed: {leftover.what}\n")
        return True
    if trouble := leftover.remove():
        sys.stderr.write(f"error: cannot remove {leftover.what}: {trouble}\n")
        return False
    sys.stdout.write(f"removed: {leftover.what}\n")
    return True
