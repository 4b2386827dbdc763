"""The waypoint of ambient mode: a proxy in pods of its own for requests to services.

https://istio.io/latest/docs/ambient/usage/waypoint/
"""

from collections.abc import Mapping

from pytest_meshcheck.meshes.kubernetes import gateway_api
from pytest_meshcheck.meshes.kubernetes.readiness import rolled_out
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.base import Manifest, ProxyHop
from pytest_meshcheck.platforms.kubernetes.api.resources import Api, selector

NAME = "waypoint"
CLASS = "istio-waypoint"
HBONE_PORT = 15008
TELLS_CALLER = "ambient.istio.io/xfcc-include-client-identity"
"""Makes a waypoint pass the caller's identity to applications in x-forwarded-client-cert; from Istio 1.30 on."""


def home(namespace: str) -> str:
    """The namespace of the waypoint of a stage: ``waypoint-<run>`` for ``blue-<run>``."""
    _, dash, stage = namespace.partition("-")
    return f"{NAME}{dash}{stage}"


def used_in(namespace: str) -> dict[str, str]:
    """The labels that route requests to the services of a namespace through the waypoint."""
    return {"istio.io/use-waypoint": NAME, "istio.io/use-waypoint-namespace": home(namespace)}


def pods(users: Mapping[str, str]) -> str:
    """The label selector of the pods of the waypoints with these labels."""
    return selector({"gateway.networking.k8s.io/gateway-class-name": CLASS, **users})


def gateway(namespace: str, users: Mapping[str, str]) -> Manifest:
    """A waypoint for the services of all namespaces with these labels; its pods have them, too."""
    allowed = {"namespaces": {"from": "Selector", "selector": {"matchLabels": dict(users)}}}
    listener = {"name": "mesh", "port": HBONE_PORT, "protocol": "HBONE", "allowedRoutes": allowed}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {
            "namespace": namespace,
            "name": NAME,
            "labels": {**users, "istio.io/waypoint-for": "service"},
            "annotations": {TELLS_CALLER: "true"},
        },
        "spec": {"gatewayClassName": CLASS, "listeners": [listener]},
    }


async def ready(api: Api, namespace: str, within: float) -> ProxyHop:
    """Wait until the waypoint is programmed and serves; returns its location.

    Raises:
        Inconclusive: It does not within this time, in seconds; with its last state.
    """
    await gateway_api.programmed(api, namespace, NAME, within)
    await rolled_out(api, namespace, (NAME,), within)
    pods, _ = await api.items(f"/api/v1/namespaces/{namespace}/pods", f"{gateway_api.GATEWAY_NAME}={NAME}")
    running = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    if len(running) != 1:
        raise Inconclusive(f"{NAME} in {namespace} must have one pod, but has {len(running)}")
    return ProxyHop(f"{namespace}/{NAME}", running[0]["status"]["podIP"], running[0]["spec"]["nodeName"])
