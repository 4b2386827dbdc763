"""Ambient mode: who passes the waypoint, what it is made of, what it can be told, and where its daemons are."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_meshcheck.meshes.base import TlsEndpoint
from pytest_meshcheck.meshes.istio import waypoint
from pytest_meshcheck.meshes.istio.ambient import AMBIENT_CLAIMS, AmbientMesh
from pytest_meshcheck.meshes.istio.http_route import HttpRouteMesh
from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.model.capability import Capability
from pytest_meshcheck.model.errors import Inconclusive, Unsupported
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.policy import (
    Failure,
    Mode,
    MutualTls,
    Policy,
    RequestsPerConnection,
    RequireMutualTls,
    Retry,
    Timeout,
)
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Enrolment, WorkloadSpec
from pytest_meshcheck.platforms.kubernetes.access.cluster_ref import ClusterRef
from pytest_meshcheck.platforms.kubernetes.platform import Kubernetes
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import Ownership
from tests.object_store import Object, ObjectStore, cluster_of

GOLDEN = Path(__file__).parent / "golden-ambient"
SERVER = WorkloadSpec("blue", "server")
POLICIES = (
    MutualTls(SERVER, Mode.STRICT),
    Retry(SERVER, 2, frozenset({503}), frozenset({Failure.CONNECT}), 0.25),
    Timeout(SERVER, 0.5),
)


def mesh(version: str | None = None) -> AmbientMesh:
    return AmbientMesh(MeshRequest(version, 1.0, None, installed=True))  # type: ignore[arg-type]


def test_the_waypoint() -> None:
    rendered = waypoint.gateway("waypoint-run", {"meshcheck.dev/run": "run"})
    assert rendered == json.loads((GOLDEN / "waypoint.json").read_text())


def test_policies_are_told_by_the_routes_of_services() -> None:
    rendered = mesh().render(POLICIES)
    assert rendered == json.loads((GOLDEN / "policies.json").read_text())
    assert rendered == HttpRouteMesh(MeshRequest(None, 1.0, None, installed=True)).render(POLICIES)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        (RequestsPerConnection(SERVER, 1), "pooled without a limit"),
        (RequireMutualTls(SERVER), "not part of the mesh in plaintext"),
    ],
    ids=["reuse", "plaintext"],
)
def test_what_is_said_of_connections_is_not_said_of_tunnels(policy: Policy, why: str) -> None:
    with pytest.raises(Unsupported, match=why):
        mesh().render([policy])


@pytest.mark.parametrize("enrolment", Enrolment)
def test_pods_are_enrolled_one_by_one_and_services_by_namespace(enrolment: Enrolment) -> None:
    owner = Ownership("run", "gw0", "image")
    metadata = mesh().enrolment(WorkloadSpec(owner.namespace("blue"), "server", enrolment))
    assert (
        metadata.labels
        == {
            Enrolment.ENROLLED: {"istio.io/dataplane-mode": "ambient"},
            Enrolment.UNENROLLED: {"istio.io/dataplane-mode": "none"},
            Enrolment.IMPERSONATED: {"istio.io/dataplane-mode": "none", "networking.istio.io/tunnel": "http"},
        }[enrolment]
    )
    assert metadata.namespace_labels == {
        "istio.io/use-waypoint": "waypoint",
        "istio.io/use-waypoint-namespace": owner.namespace("waypoint"),
    }


@pytest.mark.parametrize(("version", "told"), [("1.29.6", False), ("1.30.0", True), ("1.31.0-rc.0", True)])
def test_who_calls_is_told_from_1_30_on(version: str, told: bool) -> None:
    claim = mesh(version).claims[Capability.PEER_IDENTITY]
    assert (claim.supported, claim.since) == (told, "1.30.0")


def test_proxies_outside_of_pods_renew_as_often_as_ztunnel() -> None:
    istiod, ztunnel = (next(one for one in mesh().releases() if one.name == name) for name in ("istiod", "ztunnel"))
    metadata = istiod.values["meshConfig"]["defaultConfig"]["proxyMetadata"]
    assert metadata["SECRET_TTL"] == ztunnel.values["env"]["SECRET_TTL"] == "240s"
    assert metadata["PROXY_CONFIG_XDS_AGENT"] == istiod.values["pilot"]["env"]["ISTIO_MULTIROOT_MESH"] == "true"


@pytest.mark.parametrize(("address", "tunnel"), [("10.0.0.1", "10.0.0.1:9090"), ("fd00::1", "[fd00::1]:9090")])
def test_ports_are_reached_by_tunnels(address: str, tunnel: str) -> None:
    workload = Workload(SERVER, None, Journal(), lambda *_: (address, 9090), "server-1")  # type: ignore[arg-type]
    assert mesh().endpoint(workload, "grpc") == TlsEndpoint((address, 15008), None, ("h2",), tunnel)


@pytest.mark.parametrize(
    "capability", [Capability.CUSTOM_AUTHORITY, Capability.SERVER_IDENTITY, Capability.ROOT_ROTATION]
)
def test_hostile_peers_and_other_roots_can_be_tried(capability: Capability) -> None:
    claim = AMBIENT_CLAIMS[capability]
    assert claim.supported
    assert claim.source


def test_nobody_passes_a_waypoint_that_is_not_there() -> None:
    assert mesh().hops(SERVER) == ()


def test_how_long_certificates_live_is_known_of_an_installation_of_ours_only() -> None:
    assert AMBIENT_CLAIMS[Capability.LEAF_ROTATION].supported
    there = mesh().claims[Capability.LEAF_ROTATION]
    assert not there.supported
    assert there.note.startswith("the mesh was already installed")


APPS = "/apis/apps/v1/namespaces"
REVISION = "1-30-3"


def serving(path: str, **labels: str) -> dict[str, Object]:
    """A deployment or a daemon set, of pods with these labels, that serves."""
    namespace, _, name = path.split("/")
    counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), 1)
    counts |= dict.fromkeys(("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable"), 1)
    about: dict[str, Any] = {"name": name, "namespace": namespace, "uid": path, "generation": 1}
    spec = {"replicas": 1, "selector": {"matchLabels": {key.replace("_", "-"): one for key, one in labels.items()}}}
    return {f"{APPS}/{path}": {"metadata": about, "spec": spec, "status": {"observedGeneration": 1, **counts}}}


def installed(**more: str) -> ObjectStore:
    """An installation with a revision, whose daemons are not in the namespace of istiod."""
    istiod = serving(f"istio-system/deployments/istiod-{REVISION}", app="istiod")
    cni = serving("kube-system/daemonsets/istio-cni-node", k8s_app="istio-cni-node")
    other = serving("kube-system/daemonsets/kube-proxy", k8s_app="kube-proxy")
    return ObjectStore({**istiod, **cni, **other, **(serving("ztunnel/daemonsets/ztunnel", **more) if more else {})})


@asynccontextmanager
async def bound(ambient: AmbientMesh, store: ObjectStore, folder: Path) -> AsyncIterator[Kubernetes]:
    """The platform of an adapter for a pre-installed control plane with a revision."""
    ambient.revision = REVISION
    async with cluster_of(store, folder) as kubeconfig:
        platform = Kubernetes(Journal(), ClusterRef("run", "", "a cluster", str(kubeconfig), "near"))
        ambient.bind(platform)
        try:
            yield platform
        finally:
            await platform.close()


@pytest.mark.asyncio
async def test_an_installation_with_a_revision_and_daemons_elsewhere_becomes_ready(tmp_path: Path) -> None:
    ambient = mesh()
    async with bound(ambient, installed(app="ztunnel"), tmp_path) as platform:
        await ambient.ready(await platform.api())
    assert ambient._ztunnel.namespace == "ztunnel"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({}, "no namespace has a DaemonSet of pods labelled app=ztunnel"),
        ({"app": "ztunnel"}, "ztunnel in ztunnel is not available after 2 s: 0 pods"),
    ],
    ids=["missing", "late"],
)
async def test_a_daemon_that_does_not_serve_is_named(labels: dict[str, str], said: str, tmp_path: Path) -> None:
    store, ambient = installed(**labels), mesh()
    if labels:
        store.objects[f"{APPS}/ztunnel/daemonsets/ztunnel"]["status"]["numberAvailable"] = 0
    ambient.scale = 0.005
    async with bound(ambient, store, tmp_path) as platform:
        with pytest.raises(Inconclusive, match=said):
            await ambient.ready(await platform.api())


@pytest.mark.asyncio
async def test_the_waypoint_is_deployed_by_the_control_plane_with_a_revision(tmp_path: Path) -> None:
    store, ambient = installed(app="ztunnel"), mesh()
    ambient.scale = 0.005
    async with bound(ambient, store, tmp_path) as platform:
        with pytest.raises(Inconclusive, match="the Gateway waypoint-run/waypoint is not programmed"):
            await ambient.install(platform)
    gateway = store.objects["/apis/gateway.networking.k8s.io/v1/namespaces/waypoint-run/gateways/waypoint"]
    assert gateway["metadata"]["labels"]["istio.io/rev"] == REVISION


def test_policies_belong_to_the_control_plane_with_a_revision() -> None:
    ambient = mesh()
    ambient.revision = REVISION
    assert {one["metadata"]["labels"]["istio.io/rev"] for one in ambient.render(POLICIES)} == {REVISION}
