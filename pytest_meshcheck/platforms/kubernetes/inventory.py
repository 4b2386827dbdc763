"""What a cluster has: the names of its resources, and what is set up on its nodes."""

import asyncio
import re
import subprocess
from collections.abc import Mapping, Sequence
from enum import StrEnum

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.containers import last_lines, provider, run
from pytest_meshcheck.platforms.kubernetes.api.resources import Api, group
from pytest_meshcheck.platforms.kubernetes.api.server import NOT_FOUND, Object, Refused


class Where(StrEnum):
    """Where something of a cluster is."""

    CLUSTER = "cluster-wide"
    NAMESPACES = "in-namespaces"
    NODES = "on-nodes"


Inventory = Mapping[Where, frozenset[str]]
"""What there is, each with its kind before its name."""

PASSING = frozenset({"Event", "Pod", "PodMetrics", "ReplicaSet"})
"""Kinds whose resources come and go while nothing is installed or removed."""

ANSWERS_WITHIN = 30.0
"""Seconds that the API server has to list everything, and a node to say what is set up on it."""

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
"""Prints a line for each thing, with its kind before its name."""

OF_PODS_AND_SERVICES = re.compile(r"(:|-A )(KUBE|CNI)-|interface veth")
"""What changes with pods and services, whether there is a mesh or not."""


async def inventory(api: Api) -> Inventory:
    """Everything in a kind cluster of this machine but what comes and goes by itself.

    Raises:
        Inconclusive: The API server does not list everything, or a node does not say what is set up on it, in time.
        Refused: Something may not be listed.
    """
    nodes, _ = await api.items("/api/v1/nodes")
    try:
        async with asyncio.timeout(ANSWERS_WITHIN):
            resources = await _resources(api)
    except TimeoutError as late:
        raise Inconclusive(f"the API server does not list everything within {ANSWERS_WITHIN:.0f} s") from late
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
    """The path and the name of each kind of a version whose resources can be listed and stay."""
    path = group(version)
    return [
        (f"{path}/{one['name']}", str(one["kind"]))
        for one in await _listed(api, path, "resources")
        if "list" in one["verbs"] and one["kind"] not in PASSING
    ]


async def _named(api: Api, path: str, kind: str) -> list[str]:
    return [f"{kind} {_full_name(one['metadata'])}" for one in await _listed(api, path, "items")]


async def _listed(api: Api, path: str, what: str) -> Sequence[Object]:
    """What is listed under a path; nothing where its definition has just been removed."""
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
        await asyncio.sleep(PAUSE)  # a definition that has just changed is not served for a moment


def _full_name(metadata: Object) -> str:
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


async def _of_node(node: str) -> list[str]:
    command = (provider(), "exec", node, "sh", "-c", LISTING)
    try:
        ran = await asyncio.to_thread(run, command, ANSWERS_WITHIN)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise Inconclusive(f"the node {node} does not say what is set up on it: {error}") from error
    if ran.returncode:
        raise Inconclusive(f"the node {node} does not say what is set up on it: {last_lines(ran)}")
    return [f"{node}: {line}" for line in ran.stdout.splitlines() if not OF_PODS_AND_SERVICES.search(line)]
