"""Translation of a sidecar's configuration into Envoy resources; pure."""

from pytest_meshcheck.meshes.envoy.sidecar_config import Inbound, SidecarConfig
from pytest_meshcheck.meshes.envoy.xds import tls
from pytest_meshcheck.meshes.envoy.xds.clusters import endpoints, inbound_cluster, outbound_cluster
from pytest_meshcheck.meshes.envoy.xds.listeners import inbound_listener, outbound_listener
from pytest_meshcheck.meshes.envoy.xds.resources import Resources
from pytest_meshcheck.meshes.envoy.xds.routes import inbound_route, outbound_route


def translate(config: SidecarConfig) -> Resources:
    """The resources of one sidecar as protobuf-JSON; parts are shared, so copy them before a change."""
    services = [outbound.service for outbound in config.outbound]
    return {
        "listeners": [
            *(inbound_listener(inbound, _name(inbound), config.trust_domain) for inbound in config.inbound),
            *(outbound_listener(out.service, out.listen) for out in config.outbound),
        ],
        "clusters": [
            *(inbound_cluster(inbound, _name(inbound)) for inbound in config.inbound),
            *(outbound_cluster(service) for service in services),
        ],
        "routes": [
            *(outbound_route(service) for service in services if service.port.protocol.facts.is_http),
            *(inbound_route(_name(inbound)) for inbound in config.inbound if inbound.port.protocol.facts.is_http),
        ],
        "endpoints": [endpoints(out.service.resource, out.endpoints) for out in config.outbound],
        "secrets": tls.secrets(config),
        "filters": [tls.SEVERAL_IDENTITIES_REFUSED],
    }


def _name(inbound: Inbound) -> str:
    return f"inbound.{inbound.port.name}"
