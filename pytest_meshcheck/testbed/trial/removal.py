"""Taking a part of a configuration out of the cluster, and putting it back as it was."""

import asyncio
from collections.abc import Iterable, Sequence

from pytest_meshcheck.manifests.mutation.parts import Part
from pytest_meshcheck.manifests.objects import KubernetesObject
from pytest_meshcheck.testbed.trial.stand_ins import StandIns

PAUSE = 0.3
"""Seconds between two attempts at making a resource in a later second."""


async def take_out(trial: StandIns, part: Part) -> None:
    """Delete a resource, or apply it without a rule.

    Raises:
        Inconclusive: The API server refuses.
    """
    if (rest := part.rest) is None:
        await trial.platform.delete([trial.in_cluster(part.resource)])
    else:
        await trial.platform.apply([trial.in_cluster(rest)])


async def put_back(trial: StandIns, part: Part, by_age: Sequence[KubernetesObject]) -> None:
    """Apply a resource as it was written, and make those again that were younger than it.

    Of several resources about the same, meshes let the oldest one act, and one that was deleted comes back as the
    youngest.

    Args:
        trial: The stand-ins.
        part: What was taken out.
        by_age: Its resource and its rivals, the oldest first, as they were before.

    Raises:
        Inconclusive: The API server refuses.
    """
    than = await _made(trial, part.resource)
    younger = [] if part.path else by_age[by_age.index(part.resource) + 1 :]
    for one in younger:
        made = than
        while made <= than:
            await trial.platform.delete([trial.in_cluster(one)])
            await asyncio.sleep(PAUSE)
            made = await _made(trial, one)
        than = made


async def by_age(trial: StandIns, resources: Iterable[KubernetesObject]) -> list[KubernetesObject]:
    """Resources in the cluster, the oldest first; those of one second by name, as Istio has it.

    https://github.com/istio/istio/blob/1.30.3/pilot/pkg/model/push_context.go, ``sortConfigByCreationTime``
    """
    found = [(await _made(trial, one), f"{one.name}.{one.namespace}", one) for one in resources]
    return [one for _, _, one in sorted(found, key=lambda each: each[:2])]


async def _made(trial: StandIns, one: KubernetesObject) -> str:
    """Apply a resource, which changes nothing where it is as written; returns the second when it was created."""
    api = await trial.platform.api()
    return str((await api.apply(trial.in_cluster(one)))["metadata"]["creationTimestamp"])
