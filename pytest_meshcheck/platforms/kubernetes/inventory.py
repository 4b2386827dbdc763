"""Inventory of a cluster: its resources, and the network configuration and files of its nodes."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.kubernetes.api.resources import Api, group
from pytest_meshcheck.platforms.kubernetes.api.server import NOT_FOUND, Object, Refused
from pytest_meshcheck.platforms.kubernetes.workloads.nodes import shell_output


class Where(StrEnum):
    """The location of an inventory entry."""

    CLUSTER = "cluster-wide"
    NAMESPACES = "in-namespaces"
    NODES = "on-nodes"


Inventory = Mapping[Where, frozenset[str]]
"""The entries by location; each is a kind and a name."""

PASSING = frozenset({"Event", "Pod", "PodMetrics", "ReplicaSet"})
"""Kinds of resources that are created and deleted all the time, with or without a mesh."""

LISTED_WITHIN = 30.0
"""The time limit in seconds for listing all resources."""

TOO_MANY_REQUESTS = 429
PAUSE = 0.5

LISTING = r"""
for link in /sys/class/net/*; do echo "interface ${link##*/}"; done
for tables in iptables ip6tables; do
  ${tables}-save 2>/dev/null | sed -n "s/ \[[0-9:]*\]$//; s/^[:-]/$tables rule &/p"
done
for family in -4 -6; do ip $family rule | sed "s/^[0-9]*:[[:space:]]*/routing rule /"; done
ipset list -name 2>/dev/null | sed "s/^/set of addresses /"
for path in /etc/cni/net.d /opt/cni/bin /run /var/lib /sys/fs/bpf; do
  for file in $(ls -A $path 2>/dev/null); do echo "file $path/$file"; done
done
"""
"""Shell script that prints the entries of a node, one per line."""

OF_PODS_AND_SERVICES = re.compile(r"(:|-A )(KUBE|CNI)-|interface veth")
"""Entries that Kubernetes itself adds for pods and services."""


async def inventory(api: Api) -> Inventory:
    """The inventory of a local kind cluster, without short-lived resources.

    Raises:
        Inconclusive: The API server does not list all resources in time, or a node cannot be inspected.
        Refused: Something may not be listed.
    """
    nodes, _ = await api.items("/api/v1/nodes")
    try:
        async with asyncio.timeout(LISTED_WITHIN):
            resources = await _resources(api)
    except TimeoutError as late:
        raise Inconclusive(f"the API server did not list all resources within {LISTED_WITHIN:.0f} s") from late
    things = await asyncio.gather(*(_of_node(one["metadata"]["name"]) for one in nodes))
    return {
        Where.CLUSTER: frozenset(name for name in resources if "/" not in name),
        Where.NAMESPACES: frozenset(name for name in resources if "/" in name),
        Where.NODES: frozenset(thing for some in things for thing in some),
    }


async def _resources(api: Api) -> list[str]:
    groups = (await api.patiently("GET", "/apis"))["groups"]
    versions = ["v1", *(one["preferredVersion"]["groupVersion"] for one in groups)]
    kinds = await asyncio.gather(*(_listable(api, version) for version in versions))
    found = await asyncio.gather(*(_named(api, path, kind) for some in kinds for path, kind in some))
    return [name for names in found for name in names]


async def _listable(api: Api, version: str) -> list[tuple[str, str]]:
    """Path and name of each listable kind of an API version, without short-lived kinds."""
    path = group(version)
    return [
        (f"{path}/{one['name']}", str(one["kind"]))
        for one in await _listed(api, path, "resources")
        if "list" in one["verbs"] and one["kind"] not in PASSING
    ]


async def _named(api: Api, path: str, kind: str) -> list[str]:
    return [f"{kind} {_full_name(one['metadata'])}" for one in await _listed(api, path, "items")]


async def _listed(api: Api, path: str, what: str) -> Sequence[Object]:
    """The entries under a path; none if the definition of the resource has just been removed."""
    while True:
        try:
            listed: Sequence[Object] = (await api.patiently("GET", path))[what]
        except Refused as error:
            if error.status == NOT_FOUND:
                return []
            if error.status != TOO_MANY_REQUESTS:
                raise
        else:
            return listed
        await asyncio.sleep(PAUSE)  # the server is reinitializing its storage after a change of the definition


def _full_name(metadata: Object) -> str:
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


async def _of_node(node: str) -> list[str]:
    lines = (await shell_output(node, LISTING)).splitlines()
    return [f"{node}: {line}" for line in lines if not OF_PODS_AND_SERVICES.search(line)]
