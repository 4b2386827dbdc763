"""``meshcheck doctor`` against an API server of this machine."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_meshcheck.__main__ import main
from pytest_meshcheck.doctor import reading
from tests.unit.test_doctor.api_server import ApiServer, serving
from tests.unit.test_doctor.snapshots import FOLDER, certificate

PODS = "/api/v1/pods"
NAMESPACES = "/api/v1/namespaces"
DEPLOYMENTS = "/apis/apps/v1/deployments"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/istio-system/endpointslices"
POLICIES = "/apis/security.istio.io/v1/peerauthentications"
OLD_POLICIES = "/apis/security.istio.io/v1beta1/peerauthentications"
HOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
KEY = "the-private-key"

CLUSTER = yaml.safe_load((FOLDER / "cluster.yaml").read_text())
PERMISSIVE = {"metadata": {"name": "old", "namespace": "shop"}, "spec": {"mtls": {"mode": "PERMISSIVE"}}}
SHOP = {"metadata": {"name": "shop", "labels": {"istio-injection": "enabled"}}}


def pod(name: str, namespace: str = "shop") -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"containers": [{"name": "web"}]}}


def doctor(server: ApiServer, folder: Path, *arguments: str) -> int:
    return main(["doctor", f"--kubeconfig={server.kubeconfig(folder)}", *arguments])


def test_a_healthy_mesh_is_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(ApiServer({DEPLOYMENTS: [CLUSTER["istiod"]], NAMESPACES: [], PODS: []})) as server:
        assert doctor(server, tmp_path) == 0
    out = capsys.readouterr().out.splitlines()
    assert "Deployment istio-system/istiod: Istio 1.31.0, control plane, on Kubernetes v1.34.4" in "\n".join(out)
    assert out[-1] == "0 errors, 0 warnings, 3 facts in context staging"


def test_findings_are_1_and_one_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lists = {DEPLOYMENTS: [CLUSTER["istiod"]], NAMESPACES: [SHOP], PODS: [pod("web-1")], POLICIES: [PERMISSIVE]}
    with serving(ApiServer(lists)) as server:
        assert doctor(server, tmp_path) == 1
    error, warning, *_ = capsys.readouterr().out.splitlines()
    assert error.startswith("ERROR    workload shop/web-1: 1 of its pods should be in Istio and have no sidecar")
    assert "; restart the workload [enrolment.without-sidecar] https://istio.io/" in error
    assert warning.startswith("WARNING  PeerAuthentication shop/old: mode PERMISSIVE admits plaintext; set STRICT")


def test_it_only_reads(tmp_path: Path) -> None:
    with serving(ApiServer({DEPLOYMENTS: [CLUSTER["istiod"]], NAMESPACES: [SHOP], PODS: [pod("web-1")]})) as server:
        doctor(server, tmp_path, "--issuers")
    assert {method for method, _ in server.asked} == {"GET"}


def test_json_has_all_fields(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(ApiServer({DEPLOYMENTS: [CLUSTER["istiod"]], POLICIES: [PERMISSIVE]})) as server:
        assert doctor(server, tmp_path, "--output=json") == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["context"], told["kubernetes"]) == ("staging", "v1.34.4")
    found = next(one for one in told["findings"] if one["rule"] == "policy.permissive")
    assert set(found) == {"rule", "severity", "object", "why", "advice", "source"}
    assert (found["severity"], found["object"]) == ("warning", "PeerAuthentication shop/old")


def test_what_may_not_be_read_is_said_and_the_rest_is_examined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(ApiServer({DEPLOYMENTS: [CLUSTER["istiod"]], POLICIES: [PERMISSIVE]}, {PODS: 403})) as server:
        assert doctor(server, tmp_path) == 1
    out = capsys.readouterr().out
    assert "WARNING  Pod: not read: 403 pods is forbidden" in out
    assert "PeerAuthentication shop/old" in out


def test_an_older_version_of_a_kind_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(ApiServer({DEPLOYMENTS: [CLUSTER["istiod"]], OLD_POLICIES: [PERMISSIVE]})) as server:
        assert doctor(server, tmp_path) == 1
    assert "PeerAuthentication shop/old" in capsys.readouterr().out


def test_the_number_of_requests_is_bounded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pods = [pod(f"web-{number}") for number in range(reading.PAGE * (reading.PAGES + 1))]
    with serving(ApiServer({PODS: pods, NAMESPACES: []})) as server:
        assert doctor(server, tmp_path) == 1
    for_pods = [target for _, target in server.asked if target.startswith(PODS)]
    assert len(for_pods) == reading.PAGES
    assert len(server.asked) <= 2 + len(reading.SOURCES) * 2 + reading.PAGES
    assert "WARNING  Pod: not read: there are more than 5000; the others were not read" in capsys.readouterr().out


def test_what_is_not_answered_in_time_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "WITHIN", 0.5)
    lists = {DEPLOYMENTS: [CLUSTER["istiod"]], POLICIES: [PERMISSIVE]}
    with serving(ApiServer(lists, silent=(PODS,))) as server:
        assert doctor(server, tmp_path) == 1
    out = capsys.readouterr().out
    assert "WARNING  Pod: not read: not complete in time" in out
    assert "PeerAuthentication shop/old" in out


def test_one_namespace_is_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lists = {
        DEPLOYMENTS: [CLUSTER["istiod"]],
        NAMESPACES: [SHOP],
        f"{NAMESPACES}/shop/pods": [pod("web-1")],
        PODS: [pod("web-1"), pod("web-2")],
    }
    with serving(ApiServer(lists)) as server:
        assert doctor(server, tmp_path, "--namespace=shop") == 1
        out = capsys.readouterr().out
        assert "shop/web-1" in out
        assert "shop/web-2" not in out
        assert doctor(server, tmp_path, "--namespace=shpo") == 4
    assert capsys.readouterr().err == "error: --namespace=shpo: there is no such namespace; the cluster has shop\n"


def test_endpoints_are_read_where_webhooks_lead(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hook = {
        "metadata": {"name": "istio-sidecar-injector"},
        "webhooks": [
            {
                "name": "rev.namespace.sidecar-injector.istio.io",
                "failurePolicy": "Fail",
                "clientConfig": {
                    "service": {"name": "istiod", "namespace": "istio-system"},
                    "caBundle": certificate("bundle", 40_000),
                },
            }
        ],
    }
    ready = {
        "metadata": {
            "name": "istiod-1",
            "namespace": "istio-system",
            "labels": {"kubernetes.io/service-name": "istiod"},
        },
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}],
    }
    with serving(ApiServer({HOOKS: [hook], SLICES: [ready]})) as server:
        assert doctor(server, tmp_path) == 0
    with serving(ApiServer({HOOKS: [hook], SLICES: []})) as server:
        assert doctor(server, tmp_path) == 1
    assert "istio-system/istiod has no ready endpoint" in capsys.readouterr().out


def test_secrets_are_read_on_demand_and_keys_never_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secrets = f"{NAMESPACES}/istio-system/secrets"
    data = {"ca-cert.pem": certificate("issuer", -5), "ca-key.pem": KEY}
    encoded = {name: base64.b64encode(text.encode()).decode() for name, text in data.items()}
    lists = {DEPLOYMENTS: [CLUSTER["istiod"]], secrets: [{"metadata": {"name": "cacerts"}, "data": encoded}]}
    with serving(ApiServer(lists)) as server:
        assert doctor(server, tmp_path) == 0
        assert not [target for _, target in server.asked if "secrets" in target]
        capsys.readouterr()
        assert doctor(server, tmp_path, "--issuers") == 1
    told = capsys.readouterr()
    assert "ERROR    Secret istio-system/cacerts: the issuer CN=issuer -5 expired on" in told.out
    for text in (KEY, encoded["ca-key.pem"]):
        assert text not in told.out + told.err


def test_bad_input_is_4_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", f"--kubeconfig={tmp_path}/none"]) == 4
    assert capsys.readouterr().err == f"error: --kubeconfig={tmp_path}/none: no such file\n"
    with serving(ApiServer()) as server:
        assert doctor(server, tmp_path, "--context=elsewhere") == 4
    assert "has no context 'elsewhere'; it has staging" in capsys.readouterr().err


def test_a_cluster_out_of_reach_is_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(ApiServer()) as server:
        kubeconfig = server.kubeconfig(tmp_path)
    assert main(["doctor", f"--kubeconfig={kubeconfig}"]) == 4
    err = capsys.readouterr().err
    assert "cannot be reached" in err
    assert err.count("\n") == 1
