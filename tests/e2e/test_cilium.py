"""What a real API server says of everything that is rendered for Cilium; Cilium itself need not run."""

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from pytest_meshcheck.meshes.cilium.installed import SYSTEM, configuration
from pytest_meshcheck.meshes.cilium.linkerd_on_cilium import LinkerdOnCilium
from pytest_meshcheck.meshes.cilium.render import Strictness, access, routes
from pytest_meshcheck.meshes.kubernetes import gateway_api
from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.model.errors import MeshUnavailable, Unsupported
from pytest_meshcheck.model.policy import Failure, NetworkPolicy, Policy, Retry, Timeout
from pytest_meshcheck.model.workload_spec import Enrolment, WorkloadSpec
from pytest_meshcheck.platforms.base import Manifest, Metadata
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.api.server import Refused
from pytest_meshcheck.platforms.kubernetes.platform import Kubernetes

from .conftest import Given

pytestmark = pytest.mark.asyncio(loop_scope="session")

SERVER = WorkloadSpec("default", "server")
AUTHENTICATES = Strictness("", "", authenticates=True)
CILIUM_POLICIES = "/apis/cilium.io/v2/namespaces/default/ciliumnetworkpolicies"
POLICIES: dict[str, list[Policy]] = {
    "retry": [Retry(SERVER, 2, statuses=frozenset({503, 429}), on=frozenset({Failure.RESET}))],
    "retry-of-broken-connections": [Retry(SERVER, 60, on=frozenset({Failure.CONNECT}))],
    "no-retry": [Retry(SERVER, 0)],
    "per-try": [Retry(SERVER, 3, statuses=frozenset({503}), per_try=0.25), Timeout(SERVER, 1.5)],
    "per-try-without-limit": [Retry(SERVER, 3, statuses=frozenset({503}), per_try=0.25), Timeout(SERVER, 0)],
    "timeout": [Timeout(SERVER, 0.05)],
    "long-timeout": [Timeout(SERVER, 100_000.5)],
}


@pytest_asyncio.fixture(loop_scope="session")
async def api(given: Given) -> AsyncIterator[Api]:
    api = await Api.connect(given.kubeconfig, given.context)
    yield api
    await api.close()


async def tried(api: Api, manifest: Manifest, path: str) -> dict[str, Any]:
    """What the server would make of a resource, with every field that it does not know being an error."""
    query = [("dryRun", "All"), ("fieldManager", "meshcheck-e2e"), ("fieldValidation", "Strict"), ("force", "true")]
    where = f"{path}/{manifest['metadata']['name']}"
    return await api.request("PATCH", where, query, manifest, content_type="application/apply-patch+yaml")


async def needs(api: Api, definition: str) -> None:
    if await api.read(f"{gateway_api.DEFINITIONS}/{definition}") is None:
        pytest.skip(f"the cluster does not define {definition}")


@pytest.mark.parametrize("name", POLICIES)
async def test_routes_are_taken_as_they_are(api: Api, name: str) -> None:
    await needs(api, gateway_api.ROUTES)
    for route in routes(POLICIES[name]):
        there = await tried(api, route, "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes")
        rule, wanted = there["spec"]["rules"][0], route["spec"]["rules"][0]
        assert {field: rule[field] for field in ("filters", *({"retry", "timeouts"} & set(wanted)))} == {
            field: wanted[field] for field in wanted if field != "backendRefs"
        }
        assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]


async def test_a_field_that_is_unknown_is_refused(api: Api) -> None:
    await needs(api, gateway_api.ROUTES)
    (route, *_) = routes(POLICIES["timeout"])
    wrong = {**route, "spec": {**route["spec"], "retries": 3}}
    with pytest.raises(Refused):
        await tried(api, wrong, "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes")


async def test_a_policy_of_mutual_authentication_is_taken(api: Api) -> None:
    await needs(api, "ciliumnetworkpolicies.cilium.io")
    (policy,) = access([NetworkPolicy(SERVER, (SERVER,), ("http",))], AUTHENTICATES)
    there = await tried(api, policy, CILIUM_POLICIES)
    assert there["spec"]["ingress"] == policy["spec"]["ingress"]


async def test_a_mode_of_authentication_that_does_not_exist_is_refused(api: Api) -> None:
    await needs(api, "ciliumnetworkpolicies.cilium.io")
    (policy,) = access([NetworkPolicy(SERVER, (SERVER,), ("http",))], AUTHENTICATES)
    policy["spec"]["ingress"][0]["authentication"]["mode"] = "strict"
    with pytest.raises(Refused):
        await tried(api, policy, CILIUM_POLICIES)


class NoHooks:
    """Nobody plants anything."""

    def pytest_meshcheck_envoy_resources(self, *, workload: str, resources: dict[str, Any]) -> dict[str, Any] | None:
        raise AssertionError(workload)


def config_map(data: dict[str, str]) -> Manifest:
    metadata = {"name": "cilium-config", "namespace": SYSTEM}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


@pytest_asyncio.fixture(loop_scope="session")
async def home(api: Api) -> AsyncIterator[None]:
    """The namespace of a Cilium of which there is only the configuration."""
    if await api.read(f"/api/v1/namespaces/{SYSTEM}") is not None:
        pytest.skip(f"the cluster has a namespace {SYSTEM} already")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}}
    await api.apply(namespace)
    yield
    await api.delete(namespace)


@pytest.mark.usefixtures("home")
async def test_linkerd_is_not_installed_on_a_cilium_that_it_cannot_work_on(api: Api) -> None:
    mesh = LinkerdOnCilium(MeshRequest(None, 1.0, NoHooks(), installed=True))
    with pytest.raises(MeshUnavailable, match="Cilium is not installed: no ConfigMap cilium-config in"):
        await mesh.agrees(api)
    await api.apply(config_map({"kube-proxy-replacement": "true", "cni-exclusive": "true"}))
    with pytest.raises(MeshUnavailable, match=r"bpf-lb-sock-hostns-only is \(not set\).*cni-exclusive is true"):
        await mesh.agrees(api)
    right = {"kube-proxy-replacement": "true", "bpf-lb-sock-hostns-only": "true", "cni-exclusive": "false"}
    await api.apply(config_map(right))
    await mesh.agrees(api)
    assert await configuration(api) == (SYSTEM, right)


async def test_a_mesh_can_enrol_whole_namespaces(platform: Kubernetes, api: Api) -> None:
    spec = WorkloadSpec(platform.namespace("violet"), "server", calls=False)
    enrolled = Metadata(namespace_labels={"mesh.example/enrolled": "true"})
    workload = await platform.start(spec, enrolled)
    namespace = await api.read(f"/api/v1/namespaces/{spec.namespace}")
    assert namespace is not None
    assert namespace["metadata"]["labels"]["mesh.example/enrolled"] == "true"
    outsider = dataclasses.replace(spec, name="outsider", enrolment=Enrolment.UNENROLLED)
    with pytest.raises(Unsupported, match="the mesh enrols whole namespaces"):
        await platform.start(outsider, Metadata())
    await platform.stop(workload.spec)
