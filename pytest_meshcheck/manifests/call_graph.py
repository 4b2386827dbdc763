"""Chains of calls: a workload that calls a service, whose workloads call another one, and so on; pure."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_meshcheck.checks.access import OUTSIDER, STRANGER, Access, Outcome
from pytest_meshcheck.manifests.expectations.expected import Expected
from pytest_meshcheck.manifests.services import Destination

LONGEST = 4
"""The number of calls in a row beyond which a chain is not followed."""

MOST = 8
"""The number of chains to one port that are tried."""

Calls = Mapping[str, Collection[str]]
"""The ports that each workload calls."""


@dataclass(frozen=True)
class Chain:
    """Calls in a row.

    Attributes:
        first: The workload that makes the first call.
        ports: The called ports; the workloads behind each but the last call the next.
    """

    first: str
    ports: tuple[Destination, ...]

    def __str__(self) -> str:
        return " > ".join([self.first, *map(str, self.ports)])


def calls(expected: Expected, access: Iterable[Access]) -> Calls:
    """Who calls what: as the user says it, or else the callers that expectations and policies let in.

    A policy shows in a port that serves some workloads of the mesh and refuses others.
    """
    if expected.calls:
        return expected.calls
    found: dict[str, set[str]] = {}
    for port, callers in (*_listed(expected), *_let_in(access)):
        for caller in {*callers} - {STRANGER, OUTSIDER}:
            found.setdefault(caller, set()).add(port)
    return found


def chains(ports: Sequence[Destination], called: Calls, last: Destination) -> list[Chain]:
    """The chains of two and more calls that end at a port, each as long as it gets without a port twice."""
    found = dict.fromkeys(one for one in _ending(ports, called, (last,)) if len(one.ports) > 1)
    return sorted(found, key=lambda one: (-len(one.ports), str(one)))[:MOST]


def _ending(ports: Sequence[Destination], called: Calls, so_far: tuple[Destination, ...]) -> Iterator[Chain]:
    behind = {str(one) for each in so_far for one, _ in each.backends}
    for caller in sorted(called):
        if str(so_far[0]) not in called[caller] or caller in behind:
            continue
        longer = [
            chain
            for port in ports
            if len(so_far) < LONGEST and caller in {str(one) for one, _ in port.backends} and port not in so_far
            for chain in _ending(ports, called, (port, *so_far))
        ]
        yield from longer or [Chain(caller, so_far)]


def _listed(expected: Expected) -> Iterator[tuple[str, Collection[str]]]:
    for port, one in expected.access.items():
        yield port, one.callers or ()


def _let_in(access: Iterable[Access]) -> Iterator[tuple[str, Collection[str]]]:
    by_port: dict[str, list[Access]] = {}
    for one in access:
        if one.enrolled and not one.address_of:
            by_port.setdefault(one.destination, []).append(one)
    for port, entries in by_port.items():
        if any(one.outcome is Outcome.REFUSED for one in entries):
            yield port, [one.caller for one in entries if one.outcome is Outcome.SERVED]
