"""Pods in a mesh whose own settings weaken it."""

from collections.abc import Iterator

from pytest_meshcheck.doctor import pods
from pytest_meshcheck.doctor.finding import Found, Severity
from pytest_meshcheck.doctor.snapshot import Snapshot, some
from pytest_meshcheck.platforms.kubernetes.api.server import Object

DANGEROUS = ("NET_RAW", "NET_ADMIN", "SYS_ADMIN", "ALL")
"""Capabilities by which a container can read or redirect what the proxy of its pod protects."""


def without_readiness(snapshot: Snapshot) -> Iterator[Found]:
    """Workloads that get requests before they can answer them, which the mesh's retries then hide or multiply."""
    for owner, found in pods.by_owner(_enrolled(snapshot)):
        bare = {one["name"] for one in pods.own_containers(found[0]) if one.get("ports") and not _is_probed(one)}
        if bare:
            yield Found(
                Severity.WARNING,
                f"workload {owner}",
                f"container {some(bare)} has ports and no readiness probe: it gets requests before it can answer them",
                "add a readinessProbe",
            )


def _is_probed(container: Object) -> bool:
    return bool(container.get("readinessProbe") or container.get("startupProbe"))


def capabilities(snapshot: Snapshot) -> Iterator[Found]:
    """Containers beside a proxy that may read or redirect its traffic."""
    for owner, found in pods.by_owner(_enrolled(snapshot)):
        for one in pods.own_containers(found[0]):
            context = one.get("securityContext") or {}
            added = [name for name in (context.get("capabilities") or {}).get("add") or () if name in DANGEROUS]
            if context.get("privileged"):
                added = ["privileged"]
            if added:
                yield Found(
                    Severity.WARNING,
                    f"workload {owner}",
                    f"container {one['name']} has {some(added)}: it can read the plaintext beside the proxy, "
                    "or go past it",
                    "drop it",
                )


def _enrolled(snapshot: Snapshot) -> Iterator[Object]:
    return (one for one in snapshot.pods() if pods.is_enrolled(one) and not pods.is_gateway(one))
