"""How much of large manifests is observed: where requests may arrive, and whose effective values are measured; pure."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from pytest_meshcheck.manifests.plan import Plan
from pytest_meshcheck.manifests.services import Destination

CALLERS_AT_MOST = 8
"""Callers of each port whose effective values are measured; each takes as long as a service that stalls."""

BESIDE_STAND_INS = 1
"""Callers of the mesh that stand in for nobody."""

WORD = re.compile(r"[a-z0-9-]+")


def may_arrive(made: Plan, destination: Destination) -> frozenset[str]:
    """The names of the stand-ins that may see a request to a port.

    These are the ones behind it, and those behind every service that a mesh resource names, since a route may lead
    there.
    """
    words = {word for one in made.resources for word in _words(one.manifest)}
    named = [one for one in made.destinations if one is destination or (one.external_host or one.service) in words]
    return frozenset(str(backend) for one in named for backend, _ in one.backends)


def sampled(callers: Sequence[str], known: Collection[str], served: Collection[str], first: int) -> set[str]:
    """The callers whose effective values of a port are measured.

    Those that are known to call it come first, then those that it serves, then the others.

    Args:
        callers: All callers that are part of the mesh.
        known: The ones that the user has declared.
        served: The ones that the port serves.
        first: Where to begin; another number for each port has other callers measured.
    """
    chosen: list[str] = []
    for group in (known, served, callers):
        left = [one for one in callers if one in group and one not in chosen]
        more = min(CALLERS_AT_MOST - len(chosen), len(left))
        chosen += [left[(first + at * len(left) // more) % len(left)] for at in range(more)]
    return set(chosen)


def sampling(made: Plan) -> Iterator[str]:
    """The note that not all callers are measured, if so."""
    callers = len(made.stand_ins) + BESIDE_STAND_INS
    if callers > CALLERS_AT_MOST:
        yield (
            f"the effective values of each port are measured for {CALLERS_AT_MOST} of up to {callers} callers, and "
            "access for all: --mesh-manifests-only chooses services"
        )


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for one in value.values():
            yield from _words(one)
    elif isinstance(value, list):
        for one in value:
            yield from _words(one)
    elif isinstance(value, str):
        yield value
        yield from WORD.findall(value)
