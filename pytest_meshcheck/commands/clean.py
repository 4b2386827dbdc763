"""``meshcheck clean``: remove what dead runs left behind."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.platforms.cleanup.leftovers import Leftover, in_cluster, of_dead_runs, of_nobody

SUMMARY = "Remove what dead runs left behind: kind clusters, namespaces, meshes, folders."
DESCRIPTION = f"""{SUMMARY} Every run of this user writes down which cluster it makes, or in which it has namespaces,
and holds that record as long as it lives; what the record of a dead run names is removed. What a living run uses is
never touched."""

NOT_REMOVED = 1
BAD_INPUT = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``meshcheck clean``."""
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    parser.add_argument(
        "--all",
        action="store_true",
        help="also what nobody is known to use: kept kind clusters, and what no record of this user tells of; "
        "on a shared machine or cluster that may be somebody's run",
    )
    parser.add_argument(
        "--kubeconfig", type=Path, metavar="FILE", help="look for namespaces in the cluster of this file"
    )
    parser.add_argument("--context", metavar="NAME", help="look for namespaces in the cluster of this context")


def run(options: argparse.Namespace) -> int:
    """Remove it, with a line for each; returns the exit code."""
    try:
        leftovers = list(_found(options))
    except MeshUnavailable as error:
        sys.stderr.write(f"error: {error}\n")
        return BAD_INPUT
    if options.dry_run and not leftovers:
        sys.stdout.write("nothing to remove\n")
    done = [_treat(leftover, options) for leftover in leftovers]
    return 0 if all(done) else NOT_REMOVED


def _found(options: argparse.Namespace) -> Iterator[Leftover]:
    if options.kubeconfig and not options.kubeconfig.is_file():
        raise MeshUnavailable(f"--kubeconfig {options.kubeconfig}: there is no such file")
    yield from of_dead_runs()
    yield from of_nobody()
    if options.kubeconfig or options.context:
        yield from in_cluster(options.kubeconfig, options.context)


def _treat(leftover: Leftover, options: argparse.Namespace) -> bool:
    """Deal with one; whether it went as it should."""
    if leftover.doubt and not options.all:
        sys.stdout.write(f"left alone: {leftover.what} ({leftover.doubt}); --all removes it\n")
        return True
    if options.dry_run:
        sys.stdout.write(f"would be removed: {leftover.what}\n")
        return True
    if trouble := leftover.remove():
        sys.stderr.write(f"error: {leftover.what}: not removed: {trouble}\n")
        return False
    sys.stdout.write(f"removed: {leftover.what}\n")
    return True
