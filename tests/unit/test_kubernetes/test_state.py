"""What is kept of a mesh's resources and of its data planes, and what of it is not."""

import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from aiohttp import web
from kubernetes_asyncio.client import Configuration

from pytest_meshcheck.meshes.cilium.mesh import CiliumMesh
from pytest_meshcheck.meshes.istio.ambient import AmbientMesh
from pytest_meshcheck.meshes.istio.mesh import SIDECAR, IstioMesh
from pytest_meshcheck.meshes.linkerd.mesh import SIDECAR as PROXY, LinkerdMesh
from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.model.pki import Authority, key_pem, pem
from pytest_meshcheck.platforms.kubernetes.api.forward import NoAnswer, fetch
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.api.stream import Executor
from pytest_meshcheck.platforms.kubernetes.evidence.state import Dump, without_secrets, write_dumps, write_policies
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import Ownership
from tests.plugin.recorded import Object, api_server, recorded
from tests.serving import serving

ROOT = Path(__file__).parents[3]
GATEWAYS = "gateway.networking.k8s.io"
SECURITY, NETWORKING = "security.istio.io", "networking.istio.io"
POD = {"metadata": {"namespace": "blue", "name": "client-0"}, "spec": {"containers": [{"name": "probe"}]}}
WITH_SIDECAR = POD | {"spec": {"containers": [{"name": "probe"}], "initContainers": [{"name": SIDECAR}]}}


def group(name: str, *versions: str) -> tuple[str, Object]:
    served = [{"groupVersion": f"{name}/{version}"} for version in versions]
    return recorded("/apis", name, preferredVersion=served[0], versions=served)


def kind(name: str, version: str, *kinds: str, namespaced: bool = True) -> tuple[str, Object]:
    served = [
        {"name": f"{one.lower()}s", "kind": one, "namespaced": namespaced, "verbs": ["get", "list"]} for one in kinds
    ]
    status = {"name": "ignored/status", "kind": "Ignored", "namespaced": namespaced, "verbs": ["list"]}
    unlisted = {"name": "reviews", "kind": "Review", "namespaced": namespaced, "verbs": ["create"]}
    return recorded(f"/apis/{name}", version, resources=[*served, status, unlisted])


PLANTED = recorded(
    f"/apis/{NETWORKING}/v1/namespaces/istio-system/destinationrules",
    "planted",
    spec={"host": "*.local", "trafficPolicy": {"tls": {"mode": "DISABLE"}}},
)
FILTER = recorded(
    f"/apis/{NETWORKING}/v1alpha3/namespaces/blue/envoyfilters", "filter", spec={"token": "hush", "text": "seen"}
)
SETTINGS = recorded("/api/v1/namespaces/istio-system/configmaps", "istio", data={"mesh": "defaultHttpRetryPolicy: {}"})
OBJECTS = (
    group(NETWORKING, "v1", "v1alpha3"),
    kind(NETWORKING, "v1", "DestinationRule"),
    kind(NETWORKING, "v1alpha3", "DestinationRule", "EnvoyFilter"),
    group(SECURITY, "v1"),
    kind(SECURITY, "v1", "ClusterPolicy", namespaced=False),
    recorded(f"/apis/{SECURITY}/v1/clusterpolicys", "everywhere", spec={}),
    PLANTED,
    FILTER,
    SETTINGS,
)


def files_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


async def written(directory: Path, *objects: tuple[str, Object]) -> str:
    with api_server(objects) as (server, changes):
        api = Api(Configuration(host=server), 1.0)
        await write_policies(
            api,
            directory,
            (NETWORKING, SECURITY),
            ("istio-system", "blue"),
            ("/api/v1/namespaces/istio-system/configmaps/istio",),
        )
        await api.close()
    assert not changes
    return (directory / "istio-system.policies.yaml").read_text()


@pytest.mark.asyncio
async def test_the_policies_of_root_and_stage_are_kept(tmp_path: Path) -> None:
    text = await written(tmp_path, *OBJECTS)
    kept = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(text)}
    assert set(kept) == {
        ("ConfigMap", "istio"),
        ("DestinationRule", "planted"),
        ("EnvoyFilter", "filter"),
        ("ClusterPolicy", "everywhere"),
    }
    assert kept["DestinationRule", "planted"]["spec"] == PLANTED[1]["spec"]
    assert kept["DestinationRule", "planted"]["apiVersion"] == f"{NETWORKING}/v1"
    assert kept["EnvoyFilter", "filter"]["spec"] == {"token": "[redacted]", "text": "seen"}


@pytest.mark.asyncio
async def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    api = Api(Configuration(host="http://127.0.0.1:9"), 1.0)
    await write_policies(api, tmp_path, (NETWORKING,), ("istio-system",))
    await api.close()
    assert (
        "# resources of networking.istio.io cannot be read: " in (tmp_path / "istio-system.policies.yaml").read_text()
    )


def test_no_certificate_key_or_token_is_kept() -> None:
    authority = Authority("cluster.local")
    certificate, key = pem(authority.issuer.certificate).decode(), key_pem(authority.issuer.key).decode()
    encoded = base64.b64encode(certificate.encode()).decode()
    dump = {
        "tls_certificate": {"certificate_chain": {"inline_bytes": encoded}, "private_key": {"inline_string": key}},
        "certificates": [{"certChain": [{"pem": encoded, "serialNumber": "7"}]}],
        "trusted": f"before {certificate} after",
        "token": "hush-hush",
        "cluster": "outbound|8080||server.blue.svc.cluster.local",
    }

    kept = without_secrets(json.dumps(dump))
    for secret in ("BEGIN", encoded[:60], "hush-hush", key[40:80]):
        assert secret not in kept
    read = json.loads(kept)
    assert read["cluster"] == dump["cluster"]
    assert read["certificates"][0]["certChain"][0]["serialNumber"] == "7"
    plain = without_secrets(f"anchors {certificate}{key}token: hush-hush\nrequests_total 3\n")
    assert plain.splitlines()[-1] == "requests_total 3"
    assert not any(secret in plain for secret in ("BEGIN", "hush-hush", key[40:80]))


PORTS = (b"\0\x98\x3a", b"\1\x98\x3a")
NOT_FOUND = b"\0HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@asynccontextmanager
async def pod_that_says(
    *messages: bytes, listens: bool = True, unknown: str = ""
) -> AsyncIterator[tuple[Executor, list[str]]]:
    """An API server that forwards to pods which say this, but know nothing of a path; it yields what was asked for."""
    asked: list[str] = []

    async def forward(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=["v4.channel.k8s.io"])
        await socket.prepare(request)
        for one in PORTS:
            await socket.send_bytes(one)
        if listens:
            sent = await socket.receive_bytes()
            asked.extend([request.path_qs, sent[1:].decode().splitlines()[0]])
        for message in (NOT_FOUND,) if unknown and unknown in asked[-1] else messages:
            await socket.send_bytes(message)
        await socket.close()
        return socket

    application = web.Application()
    application.router.add_get("/api/v1/namespaces/{namespace}/pods/{pod}/portforward", forward)
    async with serving(application) as url:
        executor = Executor(Configuration(host=url))
        try:
            yield executor, asked
        finally:
            await executor.close()


@pytest.mark.asyncio
async def test_a_pod_is_asked_on_its_loopback() -> None:
    async with pod_that_says(b"\0" + OK, b"\0" + b"5\r\nhello\r\n", b"\0" + b"0\r\n\r\n") as (executor, asked):
        assert await fetch(executor, "blue", "client-0", 15000, "/config_dump") == "hello"
    assert asked == ["/api/v1/namespaces/blue/pods/client-0/portforward?ports=15000", "GET /config_dump HTTP/1.1"]


@pytest.mark.asyncio
async def test_what_a_pod_does_not_know_is_none() -> None:
    async with pod_that_says(NOT_FOUND) as (executor, _):
        assert await fetch(executor, "blue", "client-0", 15000, "/stats") is None


NO_ANSWER = {
    # why there is none: what the pod says
    "connection refused": (b"\1connection refused",),
    "HTTP status 503": (b"\0HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",),
    "closed connection": (b"\0HTTP/1.1 ",),
    "peer closed connection": (b"\0" + OK,),
    "ConnectionClosed": (),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("why", NO_ANSWER)
async def test_no_answer(why: str) -> None:
    async with pod_that_says(*NO_ANSWER[why]) as (executor, _):
        with pytest.raises(NoAnswer, match=why):
            await fetch(executor, "blue", "client-0", 15000, "/config_dump")


@pytest.mark.asyncio
async def test_a_port_that_nobody_listens_on_says_so_before_it_is_asked() -> None:
    async with pod_that_says(b"\1connection refused", listens=False) as (executor, _):
        with pytest.raises(NoAnswer, match="connection refused"):
            await fetch(executor, "blue", "client-0", 15000, "/config_dump")


@pytest.mark.asyncio
async def test_the_data_planes_of_pods_are_asked(tmp_path: Path) -> None:
    dumps = {SIDECAR: (Dump("config.json", 15000, "/config_dump"),)}
    answer = b'\0HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"token": "x"}'
    async with pod_that_says(answer) as (executor, _):
        await write_dumps(executor, tmp_path, [POD, WITH_SIDECAR], dumps)
    assert files_in(tmp_path) == ["blue.client-0.config.json"]
    assert (tmp_path / "blue.client-0.config.json").read_text() == '{\n "token": "[redacted]"\n}\n'


@pytest.mark.asyncio
async def test_a_data_plane_that_does_not_answer_leaves_the_reason(tmp_path: Path) -> None:
    executor = Executor(Configuration(host="http://127.0.0.1:9"))
    await write_dumps(executor, tmp_path, [WITH_SIDECAR], IstioMesh.dumps)
    await executor.close()
    said = (tmp_path / "blue.client-0.config.json").read_text()
    assert said.startswith("no answer on port 15000: Cannot connect to host 127.0.0.1:9")


def test_every_mesh_with_data_planes_is_asked() -> None:
    assert set(IstioMesh.dumps) == {SIDECAR}
    assert set(AmbientMesh.dumps) == {SIDECAR}
    assert set(LinkerdMesh.dumps) == {PROXY}


def test_a_mesh_whose_data_planes_are_not_asked_is_said_in_the_documents() -> None:
    assert not CiliumMesh.dumps
    assert "not the configuration of its Envoy" in (ROOT / "docs" / "reports.md").read_text()


ZTUNNEL = {
    # manifests/charts/ztunnel/templates/daemonset.yaml of Istio 1.30.3
    "metadata": {"namespace": "istio-system", "name": "ztunnel-x7k2p", "labels": {"app": "ztunnel"}},
    "spec": {"containers": [{"name": "istio-proxy", "args": ["proxy", "ztunnel"]}]},
}
WAYPOINT = {
    # manifests/charts/istio-control/istio-discovery/files/waypoint.yaml of Istio 1.30.3
    "metadata": {"namespace": "waypoint-run", "name": "waypoint-5d9c7", "labels": {"meshcheck.dev/run": "run"}},
    "spec": {"containers": [{"name": "istio-proxy", "args": ["proxy", "waypoint"]}]},
}
CONFIG = b'{"certificates": [{"certChain": [{"pem": "TUlJQ", "serialNumber": "7"}]}]}'


@pytest.mark.asyncio
async def test_a_ztunnel_leaves_its_configuration_and_has_no_statistics(tmp_path: Path) -> None:
    answer = b"\0HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(CONFIG), CONFIG)
    async with pod_that_says(answer, unknown="/stats") as (executor, asked):
        await write_dumps(executor, tmp_path, [ZTUNNEL], AmbientMesh.dumps)
    assert files_in(tmp_path) == ["istio-system.ztunnel-x7k2p.config.json"]
    (certificate,) = json.loads((tmp_path / files_in(tmp_path)[0]).read_text())["certificates"]
    assert certificate["certChain"] == [{"pem": "[redacted]", "serialNumber": "7"}]
    assert {one for one in asked if one.startswith("/api")} == {
        "/api/v1/namespaces/istio-system/pods/ztunnel-x7k2p/portforward?ports=15000"
    }


@dataclass
class Stage:
    """The platform of a run whose API server has a few recorded objects, and forwards to no pod."""

    connected: Api
    forwards: Executor
    owner: Ownership
    namespaces: Sequence[str] = ("blue-run",)

    async def api(self) -> Api:
        return self.connected

    async def executor(self) -> Executor:
        return self.forwards

    async def pods(self) -> list[Object]:
        return [WAYPOINT]


@pytest.mark.asyncio
async def test_evidence_of_ambient_mode_has_ztunnel_and_waypoint(tmp_path: Path) -> None:
    gateways = f"/apis/{GATEWAYS}/v1/namespaces/waypoint-run/gateways"
    objects = (
        ("/api/v1/namespaces/istio-system/pods", ZTUNNEL),
        *(group(name, "v1") for name in AmbientMesh.policies),
        kind(GATEWAYS, "v1", "Gateway"),
        recorded(gateways, "waypoint", spec={"gatewayClassName": "istio-waypoint"}),
    )
    mesh = AmbientMesh(MeshRequest(None, 1.0, None, installed=True))  # type: ignore[arg-type]
    with api_server(objects) as (server, _):
        configuration = Configuration(host=server)
        stage = Stage(Api(configuration, 1.0), Executor(configuration), Ownership("run", "", "probe:1"))
        mesh._platform = stage  # type: ignore[assignment]
        await mesh.diagnose(tmp_path)
        await stage.connected.close()
        await stage.forwards.close()
    assert {name for name in files_in(tmp_path) if name.endswith(("config.json", "events.log"))} == {
        "istio-system.ztunnel-x7k2p.config.json",
        "waypoint-run.waypoint-5d9c7.config.json",
        "istio-system.events.log",
        "waypoint-run.events.log",
    }
    assert "gatewayClassName: istio-waypoint" in (tmp_path / "istio-system.policies.yaml").read_text()
