"""Clusters and their endpoints: the application behind a sidecar, and the services that it can call."""

from pytest_meshcheck.meshes.envoy import tls
from pytest_meshcheck.meshes.envoy.envoyjson import Resource, socket_address, source
from pytest_meshcheck.meshes.envoy.http import BUFFER_LIMIT, upstream_options
from pytest_meshcheck.meshes.envoy.protocols import is_http
from pytest_meshcheck.meshes.envoy.view import Inbound, Outbound
from pytest_meshcheck.stage.workload import Address

CONNECT_TIMEOUT = "5s"
NO_LIMIT = 1_000_000
LIMITS = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
UNLIMITED = {"thresholds": [{limit: NO_LIMIT for limit in LIMITS}]}
"""Envoy's defaults (1024; 3 retries at a time) would answer a load by itself."""


def inbound_cluster(inbound: Inbound, name: str) -> Resource:
    """The application, in the clear."""
    cluster = _cluster(name) | {"type": "STATIC", "load_assignment": _assignment(name, inbound.application)}
    if is_http(inbound.port):
        cluster["typed_extension_protocol_options"] = upstream_options()
    return cluster


def outbound_cluster(outbound: Outbound) -> Resource:
    """A service: mutual TLS towards a member of the mesh, in the clear towards others."""
    cluster = _cluster(outbound.name) | {
        "type": "EDS",
        "eds_cluster_config": {"eds_config": source("endpoints", outbound.name)},
    }
    if is_http(outbound.port):
        cluster["typed_extension_protocol_options"] = upstream_options(outbound.requests_per_connection)
    if outbound.identity is not None:
        cluster["transport_socket"] = tls.upstream(outbound.identity, outbound.service)
    return cluster


def endpoints(outbound: Outbound) -> Resource:
    """The one endpoint of a service."""
    return _assignment(outbound.name, outbound.endpoint)


def _cluster(name: str) -> Resource:
    return {
        "name": name,
        "connect_timeout": CONNECT_TIMEOUT,
        "per_connection_buffer_limit_bytes": BUFFER_LIMIT,
        "circuit_breakers": UNLIMITED,
    }


def _assignment(name: str, address: Address) -> Resource:
    endpoint = {"endpoint": {"address": socket_address(address)}}
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}
