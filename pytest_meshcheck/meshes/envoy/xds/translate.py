"""From what a sidecar has to know to the Envoy resources that say it; pure."""

from pytest_meshcheck.meshes.envoy.sidecar_config import Inbound, View
from pytest_meshcheck.meshes.envoy.xds import tls
from pytest_meshcheck.meshes.envoy.xds.clusters import endpoints, inbound_cluster, outbound_cluster
from pytest_meshcheck.meshes.envoy.xds.listeners import inbound_listener, outbound_listener
from pytest_meshcheck.meshes.envoy.xds.resources import Resources
from pytest_meshcheck.meshes.envoy.xds.routes import inbound_route, outbound_route


def translate(view: View) -> Resources:
    """The resources of one sidecar, as protobuf-JSON; parts of it are shared: copy it before you change it."""
    services = [outbound.service for outbound in view.outbound]
    return {
        "listeners": [
            *(inbound_listener(inbound, _name(inbound), view.trust_domain) for inbound in view.inbound),
            *(outbound_listener(out.service, out.listen) for out in view.outbound),
        ],
        "clusters": [
            *(inbound_cluster(inbound, _name(inbound)) for inbound in view.inbound),
            *(outbound_cluster(service) for service in services),
        ],
        "routes": [
            *(outbound_route(service) for service in services if service.port.protocol.facts.is_http),
            *(inbound_route(_name(inbound)) for inbound in view.inbound if inbound.port.protocol.facts.is_http),
        ],
        "endpoints": [endpoints(out.service.resource, out.endpoints) for out in view.outbound],
        "secrets": tls.secrets(view),
    }


def _name(inbound: Inbound) -> str:
    return f"inbound.{inbound.port.name}"
