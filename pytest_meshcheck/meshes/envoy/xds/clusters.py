"""Clusters and their endpoints: the application behind a sidecar, and the services that it can call."""

from functools import lru_cache

from pytest_meshcheck.meshes.envoy.sidecar_config import Inbound, RetryShare, Service
from pytest_meshcheck.meshes.envoy.xds import tls
from pytest_meshcheck.meshes.envoy.xds.http import BUFFER_LIMIT, upstream_options
from pytest_meshcheck.meshes.envoy.xds.resources import ADS, REMEMBERED, Resource, socket_address
from pytest_meshcheck.model.workload_spec import Address

CONNECT_TIMEOUT = "5s"
NO_LIMIT = 1_000_000
LIMITS = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
UNLIMITED = {"thresholds": [dict.fromkeys(LIMITS, NO_LIMIT)]}
"""No limits: with Envoy's defaults (1024; 3 concurrent retries) the sidecar itself would reject a load."""


@lru_cache(maxsize=REMEMBERED)
def inbound_cluster(inbound: Inbound, name: str) -> Resource:
    """The cluster of the application, in plaintext."""
    cluster = _cluster(name) | {"type": "STATIC", "load_assignment": endpoints(name, (inbound.application,))}
    if inbound.port.protocol.facts.is_http:
        cluster["typed_extension_protocol_options"] = upstream_options()
    return cluster


@lru_cache(maxsize=REMEMBERED)
def outbound_cluster(service: Service) -> Resource:
    """The cluster of a service: mutual TLS to members of the mesh, plaintext to others."""
    name = service.resource
    cluster = _cluster(name) | {"type": "EDS", "eds_cluster_config": {"eds_config": ADS}}
    if service.port.protocol.facts.is_http:
        cluster["typed_extension_protocol_options"] = upstream_options(service.requests_per_connection)
    if service.retry_budget is not None:
        cluster["circuit_breakers"] = _with_retry_budget(service.retry_budget)
    if service.identity is not None:
        cluster["transport_socket"] = tls.upstream(service.identity, service.name)
    return cluster


@lru_cache(maxsize=REMEMBERED)
def endpoints(name: str, addresses: tuple[Address, ...]) -> Resource:
    """The endpoints of a cluster, used round-robin."""
    found = [{"endpoint": {"address": socket_address(address)}} for address in addresses]
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": found}]}


def _with_retry_budget(share: RetryShare) -> Resource:
    """The limits of a cluster with a retry budget, which replaces the limit of retries."""
    percent = {} if share.percent is None else {"budget_percent": {"value": share.percent}}
    limits = {name: NO_LIMIT for name in LIMITS if name != "max_retries"}
    return {"thresholds": [{**limits, "retry_budget": percent}]}


def _cluster(name: str) -> Resource:
    return {
        "name": name,
        "connect_timeout": CONNECT_TIMEOUT,
        "per_connection_buffer_limit_bytes": BUFFER_LIMIT,
        "circuit_breakers": UNLIMITED,
    }
