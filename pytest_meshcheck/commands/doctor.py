"""``meshcheck doctor``: what is wrong with the meshes of a cluster, without a change to it."""

import argparse
import asyncio
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from pytest_meshcheck.commands.errors import BAD_INPUT, failed
from pytest_meshcheck.doctor.finding import Finding, Severity, is_wanting, tally
from pytest_meshcheck.model.errors import MeshUnavailable

SUMMARY = "Examine the meshes of a cluster, read-only, in seconds."
DESCRIPTION = f"""{SUMMARY} One line per finding: severity, object, why, what to do, rule, source. It only reads, and
says what it may not read. Exit code 0: nothing to mend; 1: errors or warnings; 4: bad input, or no such cluster."""

FINDINGS = 1
"""The exit code if there is something to mend."""


class Diagnosis(msgspec.Struct, frozen=True):
    """What ``--output json`` prints."""

    context: str
    kubernetes: str
    findings: tuple[Finding, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``meshcheck doctor``."""
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="default: as kubectl")
    parser.add_argument("--context", metavar="NAME", help="default: the current one")
    parser.add_argument(
        "--namespace",
        action="append",
        default=[],
        metavar="NAME",
        help="examine the pods of this namespace only; repeatable; the meshes themselves are always examined",
    )
    parser.add_argument(
        "--issuers",
        action="store_true",
        help="read the Secrets with the meshes' issuers too; only their certificates are kept",
    )
    parser.add_argument(
        "--proxies",
        action="store_true",
        help="ask each istiod, over a port-forward, which proxies lack the newest configuration or reject it",
    )
    parser.add_argument("--output", choices=("text", "json"), default="text", help="default: %(default)s")


def run(options: argparse.Namespace) -> int:
    """Print the findings; returns the exit code."""
    from pytest_meshcheck.doctor.look import look  # noqa: PLC0415 - other commands need no rules
    from pytest_meshcheck.platforms.kubernetes.api.kubeconfig import contexts  # noqa: PLC0415 - and no client

    if options.kubeconfig and not options.kubeconfig.is_file():
        return failed(f"--kubeconfig={options.kubeconfig}: no such file", BAD_INPUT)
    try:
        context = contexts(options.kubeconfig).named(options.context)
        kubernetes, findings = asyncio.run(
            look(
                options.kubeconfig,
                context,
                options.namespace,
                issuers=options.issuers,
                proxies=options.proxies,
            )
        )
    except MeshUnavailable as error:
        return failed(str(error).replace("--mesh-context", "--context"), BAD_INPUT)
    if options.output == "json":
        diagnosis = msgspec.json.encode(Diagnosis(context, kubernetes, findings))
        sys.stdout.write(f"{msgspec.json.format(diagnosis, indent=2).decode()}\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in lines(context, findings)))
    return FINDINGS if is_wanting(findings) else 0


def lines(context: str, findings: Sequence[Finding]) -> Iterator[str]:
    """The findings in the cluster of a context as text, one line each, and their number."""
    width = max(map(len, Severity))
    for one in findings:
        advice = f"; {one.advice}" if one.advice else ""
        source = f" {one.source}" if one.source else ""
        yield f"{one.severity.upper():{width}}  {one.object}: {one.why}{advice} [{one.rule}]{source}"
    yield f"{tally(findings)} in context {context}"
