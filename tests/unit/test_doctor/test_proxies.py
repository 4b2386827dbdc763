"""What istiod tells of its proxies."""

import asyncio
import json
from pathlib import Path

import pytest

from pytest_meshcheck.doctor import proxies
from pytest_meshcheck.doctor.look import look
from pytest_meshcheck.platforms.kubernetes.api.forward import NoAnswer
from tests.unit.test_doctor.api_server import ApiServer, serving

ISTIOD = {"metadata": {"name": "istiod-1", "namespace": "istio-system"}, "status": {"phase": "Running"}}
LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
TOLD = [
    {
        "cluster_id": "Kubernetes",
        "proxy": "web-5d4-x.shop",
        "proxy_type": "sidecar",
        "istio_version": "1.30.3",
        "listener_sent": "n2",
        "listener_acked": "n1",
        "resources": {
            LISTENER: {
                "sent": "n2",
                "acked": "n1",
                "sentTime": "2026-11-28T11:00:00.123456789Z",
                "lastError": "no such filter",
            }
        },
    }
]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str | NoAnswer]:
    """The answers of the pods of istiod, one after the other."""
    answers: list[str | NoAnswer] = []

    async def fetch(_: object, namespace: str, pod: str, port: int, target: str) -> str:
        assert (namespace, pod, port, target) == ("istio-system", "istiod-1", 15014, "/debug/syncz")
        answer = answers.pop(0)
        if isinstance(answer, NoAnswer):
            raise answer
        return answer

    monkeypatch.setattr(proxies, "fetch", fetch)
    return answers


def found(folder: Path) -> dict[str, str]:
    """What the doctor finds by rule, on a cluster with an istiod."""
    with serving(ApiServer({"/api/v1/pods": [ISTIOD]})) as server:
        _, findings = asyncio.run(look(server.kubeconfig(folder), None, proxies=True))
    return {one.rule: f"{one.object}: {one.why}" for one in findings}


def test_a_rejection_is_found(told: list[str | NoAnswer], tmp_path: Path) -> None:
    told.append(json.dumps(TOLD))
    said = "proxy shop/web-5d4-x: it rejects Listeners and goes on with older ones: no such filter"
    assert found(tmp_path)["data-plane.rejected"] == said


@pytest.mark.parametrize("answer", [NoAnswer("403"), "<html>"], ids=str)
def test_an_istiod_that_does_not_tell_is_named(
    answer: str | NoAnswer, told: list[str | NoAnswer], tmp_path: Path
) -> None:
    told.append(answer)
    assert found(tmp_path)["reading.unread"].startswith("proxies of istio-system/istiod-1: not read: ")


def test_a_port_that_may_not_be_forwarded_is_named(tmp_path: Path) -> None:
    assert found(tmp_path)["reading.unread"].startswith("proxies of istio-system/istiod-1: not read: ")


def test_istiod_is_asked_on_demand_only(tmp_path: Path) -> None:
    with serving(ApiServer({"/api/v1/pods": [ISTIOD]})) as server:
        asyncio.run(look(server.kubeconfig(tmp_path), None))
    assert not [target for _, target in server.asked if "portforward" in target]
