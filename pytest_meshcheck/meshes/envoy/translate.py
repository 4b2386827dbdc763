"""From what a sidecar has to know to the Envoy resources that say it; pure."""

from pytest_meshcheck.meshes.envoy import tls
from pytest_meshcheck.meshes.envoy.clusters import endpoints, inbound_cluster, outbound_cluster
from pytest_meshcheck.meshes.envoy.envoyjson import Resources
from pytest_meshcheck.meshes.envoy.listeners import inbound_listener, outbound_listener
from pytest_meshcheck.meshes.envoy.protocols import is_http
from pytest_meshcheck.meshes.envoy.routes import outbound_route
from pytest_meshcheck.meshes.envoy.view import Inbound, View


def translate(view: View) -> Resources:
    """The resources of one sidecar, as protobuf-JSON; parts of it are shared: copy it before you change it."""
    return {
        "listeners": [
            *(inbound_listener(inbound, _name(inbound), view.trust_domain) for inbound in view.inbound),
            *(outbound_listener(outbound) for outbound in view.outbound),
        ],
        "clusters": [
            *(inbound_cluster(inbound, _name(inbound)) for inbound in view.inbound),
            *(outbound_cluster(outbound) for outbound in view.outbound),
        ],
        "routes": [outbound_route(outbound) for outbound in view.outbound if is_http(outbound.port)],
        "endpoints": [endpoints(outbound) for outbound in view.outbound],
        "secrets": tls.secrets(view),
    }


def _name(inbound: Inbound) -> str:
    return f"inbound.{inbound.port.name}"
