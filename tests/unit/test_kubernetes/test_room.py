"""What pods request and nodes have, as the scheduler reckons it; and what is said where it is too little."""

from fractions import Fraction
from typing import Any

import pytest
from kubernetes_asyncio.client import Configuration

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.workload_spec import WorkloadSpec
from pytest_meshcheck.platforms.base import Metadata
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.connection import Connection
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import RUN, Ownership
from pytest_meshcheck.platforms.kubernetes.workloads.room import Room, allocatable, free, quantity, requested
from tests.plugin.recorded import Object, api_server, recorded

MI = 2**20
NODES, PODS = "/api/v1/nodes", "/api/v1/pods"


def container(cpu: str = "", memory: str = "", **more: Any) -> dict[str, Any]:
    requests = {name: text for name, text in (("cpu", cpu), ("memory", memory)) if text}
    return {"name": "one", "resources": {"requests": requests} if requests else {}, **more}


def pod(*containers: Object, init: tuple[Object, ...] = (), **spec: Any) -> Object:
    return {"spec": {"containers": list(containers), "initContainers": list(init), **spec}}


def node(
    cpu: str, memory: str, *, name: str = "open", ready: str = "True", system: str = "linux", **spec: Any
) -> dict[str, Any]:
    status = {
        "allocatable": {"cpu": cpu, "memory": memory, "pods": "110"},
        "conditions": [{"type": "Ready", "status": ready}],
    }
    return {"metadata": {"name": name, "labels": {"kubernetes.io/os": system}}, "spec": spec, "status": status}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", 2),
        ("100m", Fraction(1, 10)),
        ("0.5", Fraction(1, 2)),
        ("64Mi", 64 * MI),
        ("1G", 10**9),
        ("1e3", 1000),
        ("24618084Ki", 24618084 * 1024),
        (3, 3),
    ],
)
def test_quantities(text: str | int, value: Fraction) -> None:
    assert quantity(text) == value


def test_no_quantity() -> None:
    with pytest.raises(ValueError, match="'much' is not a quantity"):
        quantity("much")


SIDECAR = container("100m", "128Mi", restartPolicy="Always")
REQUESTED = {
    # what it is about: a pod, and the thousandths of a core and the mebibytes that it requests
    "nothing": (pod(container()), 0, 0),
    "containers side by side": (pod(container("10m", "64Mi"), container("100m", "128Mi")), 110, 192),
    "a native sidecar": (pod(container("10m", "64Mi"), init=(SIDECAR,)), 110, 192),
    "an init container that is small": (pod(container("10m", "64Mi"), init=(container("5m", "8Mi"),)), 10, 64),
    "an init container that is large": (pod(container("10m", "64Mi"), init=(container("500m", "8Mi"),)), 500, 64),
    "one beside a sidecar": (pod(container("10m", "64Mi"), init=(SIDECAR, container("50m", "8Mi"))), 150, 192),
    "one before a sidecar": (pod(container("10m", "64Mi"), init=(container("50m", "8Mi"), SIDECAR)), 110, 192),
    "overhead": (pod(container("10m", "64Mi"), overhead={"cpu": "250m", "memory": "120Mi"}), 260, 184),
}


@pytest.mark.parametrize("case", REQUESTED)
def test_what_a_pod_requests(case: str) -> None:
    one, thousandths, mebibytes = REQUESTED[case]
    assert requested(one) == Room(Fraction(thousandths, 1000), Fraction(mebibytes * MI), 1)


@pytest.mark.parametrize(
    "shut",
    [
        node("2", "1Gi", ready="False"),
        node("2", "1Gi", system="windows"),
        node("2", "1Gi", unschedulable=True),
        node("2", "1Gi", taints=[{"key": "own", "effect": "NoSchedule"}]),
    ],
)
def test_a_node_that_takes_no_pods_has_no_room(shut: Object) -> None:
    assert allocatable(shut) == Room()


def test_what_is_free_is_what_others_leave() -> None:
    nodes = [node("2", "1Gi")]
    there = [
        pod(container("500m", "256Mi"), nodeName="open"),
        pod(container("500m", "256Mi"), nodeName="elsewhere"),
        {**pod(container("500m", "256Mi"), nodeName="open"), "status": {"phase": "Succeeded"}},
        pod(container("500m", "256Mi")),
    ]
    assert free(nodes, there) == Room(Fraction(3, 2), Fraction(768 * MI), 109)


OWNER = Ownership("c0ffee", "gw0", "localhost/meshcheck/probe:1")
CHECK_ITEM = [(WorkloadSpec("blue-c0ffee-gw0", name), Metadata()) for name in ("client", "server")]


async def asked(processes: int, *objects: tuple[str, Object]) -> list[str]:
    """Ask for the room of two workloads; what was changed in the cluster."""
    with api_server(objects) as (server, changes):
        api = Api(Configuration(host=server), 1.0)
        try:
            connection = Connection(api, None, None, 1.0)  # type: ignore[arg-type]
            await connection.refuse_beyond(OWNER, CHECK_ITEM, processes)
        finally:
            await api.close()
    return changes


SMALL = NODES, node("50m", "1Gi", name="small")


@pytest.mark.asyncio
async def test_what_fits_is_let_pass() -> None:
    ours = recorded(PODS, "client", labels={RUN: "c0ffee"}, **pod(container("40m", "64Mi"), nodeName="small"))
    assert await asked(2, SMALL, ours) == []


@pytest.mark.asyncio
async def test_what_does_not_fit_is_said_with_numbers() -> None:
    others = recorded(PODS, "istiod", **pod(container("20m", "512Mi"), nodeName="small"))
    with pytest.raises(Inconclusive) as refused:
        await asked(2, SMALL, others)
    assert str(refused.value) == (
        "the workloads of the run do not fit on the cluster: they request 0.04 CPU, 0.25 GiB and 4 pods, and its nodes "
        "have 0.03 CPU, 0.50 GiB and 109 pods left; take more or larger nodes, fewer processes than -n 2, or smaller "
        "requests of the mesh's proxies (--mesh-values)"
    )


@pytest.mark.asyncio
async def test_where_the_cluster_may_not_be_asked_nothing_is_known_to_be_wrong() -> None:
    api = Api(Configuration(host="http://127.0.0.1:9"), 0.1)
    await Connection(api, None, None, 1.0).refuse_beyond(OWNER, CHECK_ITEM, 1)  # type: ignore[arg-type]
    await api.close()
