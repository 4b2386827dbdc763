"""Injection into the pods of a dry run, and lifecycle guarantees by sidecar type."""

import json
import math

import pytest
from aiohttp import web

from pytest_meshcheck.meshes.istio.documented import DOCUMENTED
from pytest_meshcheck.meshes.kubernetes.readiness import as_injected, form_of, injects
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.base import Metadata
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import Ownership
from tests.serving import client_of

OWNER = Ownership("c0ffee", "gw0", "")

NATIVE = {"name": "istio-proxy", "restartPolicy": "Always"}
ORDINARY = {"name": "istio-proxy"}
HOLDING = {"name": "istio-proxy", "lifecycle": {"postStart": {"exec": {"command": ["pilot-agent", "wait"]}}}}


@pytest.mark.parametrize(("sidecar", "waits"), [(NATIVE, True), (ORDINARY, False), (HOLDING, True)])
def test_an_application_waits_for_a_sidecar_that_holds_it(sidecar: dict[str, object], waits: bool) -> None:
    promised = as_injected(DOCUMENTED, sidecar)
    assert promised.lifecycle.application_waits is waits
    assert promised.lifecycle.source("application_waits") == DOCUMENTED.lifecycle.source("application_waits")
    assert promised.mtls == DOCUMENTED.mtls


@pytest.mark.parametrize(("sidecar", "ends"), [(NATIVE, True), (ORDINARY, False), (HOLDING, False)])
def test_a_job_ends_with_a_native_sidecar_alone(sidecar: dict[str, object], ends: bool) -> None:
    usual = DOCUMENTED.lifecycle.job_ends_within
    assert as_injected(DOCUMENTED, sidecar).lifecycle.job_ends_within == (usual if ends else math.inf)


def test_form_of_a_sidecar() -> None:
    assert [form_of(one).split()[0] for one in (NATIVE, ORDINARY)] == ["native", "sidecars"]


class Admission:
    """An API server that refuses pods with these answers, one after the other, and then injects a sidecar."""

    def __init__(self, *refusals: tuple[int, str]) -> None:
        self.refusals = list(refusals)
        self.namespaces: list[dict[str, object]] = []

    async def discover(self, _request: web.Request) -> web.Response:
        return web.json_response({"resources": [{"name": "namespaces", "kind": "Namespace", "namespaced": False}]})

    async def make_namespace(self, request: web.Request) -> web.Response:
        self.namespaces.append(json.loads(await request.read())["metadata"])
        return web.json_response({})

    async def admit(self, request: web.Request) -> web.Response:
        assert request.query["dryRun"] == "All"
        if self.refusals:
            status, message = self.refusals.pop(0)
            return web.json_response({"message": message}, status=status)
        pod = json.loads(await request.read())
        pod["spec"]["initContainers"] = [NATIVE]
        return web.json_response(pod)

    async def injected(self, within: float) -> dict[str, object]:
        """The sidecar that is awaited for so many seconds."""
        app, home = web.Application(), "/api/v1/namespaces/sample-c0ffee-gw0"
        app.router.add_get("/api/v1", self.discover)
        app.router.add_patch(home, self.make_namespace)
        app.router.add_post(f"{home}/pods", self.admit)
        async with client_of(app) as api:
            return await injects(api, OWNER, Metadata(), lambda one: one["name"] == "istio-proxy", within)


PASSING = (
    (403, 'pods "meshcheck-1" is forbidden: error looking up service account sample/default: not found'),
    (500, 'Internal error occurred: failed calling webhook "namespace.sidecar-injector.istio.io": connection refused'),
    (403, 'admission webhook "a.linkerd.io" denied the request: namespaces "sample-c0ffee-gw0" not found'),
)


@pytest.mark.asyncio
async def test_injection_is_tried_in_a_namespace_of_the_run() -> None:
    admission = Admission(*PASSING)
    assert await admission.injected(within=60.0) == NATIVE
    (namespace,) = admission.namespaces
    assert namespace["name"] == "sample-c0ffee-gw0"
    assert namespace["labels"] == {
        "meshcheck.dev/run": "c0ffee",
        "meshcheck.dev/worker": "gw0",
        "pod-security.kubernetes.io/enforce": "privileged",
    }


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "message",
    [
        'pods "meshcheck-1" is forbidden: violates PodSecurity "baseline:latest": non-default capabilities',
        'pods "meshcheck-1" is forbidden: failed quota: mem: must specify limits.memory for: sample',
    ],
)
async def test_pods_that_the_cluster_forbids_are_not_waited_for(message: str) -> None:
    admission = Admission((403, message), (403, message))
    with pytest.raises(Inconclusive) as forbidden:
        await admission.injected(within=60.0)
    assert len(admission.refusals) == 1, "it was asked once"
    assert str(forbidden.value) == (
        f"the cluster rejects pods of the mesh in sample-c0ffee-gw0: 403 {message}; "
        "if a policy or quota rejects them, exempt namespaces with the label meshcheck.dev/run"
    )


@pytest.mark.asyncio
async def test_a_webhook_that_stays_away_is_said_in_the_words_of_the_server() -> None:
    _, away, _ = PASSING
    with pytest.raises(Inconclusive, match=r"^the webhook adds no sidecar to pods: 500 .* connection refused$"):
        await Admission(away).injected(within=0.0)
