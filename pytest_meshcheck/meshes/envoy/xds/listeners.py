"""Listeners: where others reach the workload, and where the workload dials services.

Strict and permissive differ in their filter chains alone, and the chain for TLS is the same in both: Envoy then updates
the listener in place, and connections under mutual TLS never notice
(https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/lds).
"""

from functools import lru_cache
from typing import Any

from pytest_meshcheck.meshes.envoy.sidecar_config import Inbound, Service
from pytest_meshcheck.meshes.envoy.xds import tls
from pytest_meshcheck.meshes.envoy.xds.http import BUFFER_LIMIT, LOCAL_REPLIES, connection_manager
from pytest_meshcheck.meshes.envoy.xds.resources import ADS, REMEMBERED, Resource, socket_address, typed
from pytest_meshcheck.model.policy import Mode
from pytest_meshcheck.model.workload_spec import Address, Port

HTTP_ALPN = ("h2", "http/1.1")
BACKLOG = 4096

TLS_INSPECTOR = {
    "name": "envoy.filters.listener.tls_inspector",
    "typed_config": typed("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"),
}

AWAITED: Resource = {"listener_filters_timeout": "10s"}
"""A client speaks first; on a busy machine it may need a while."""

SILENT_IS_PLAINTEXT: Resource = {"listener_filters_timeout": "0.5s", "continue_on_listener_filters_timeout": True}
"""Where the server speaks first, a silent client is one that waits for the server: in plaintext, or in vain."""

TELL_CALLER: Resource = {
    "forward_client_cert_details": "SANITIZE_SET",
    "set_current_client_cert_details": {"uri": True},
}
"""Replace what a caller says of itself by what its certificate says (header x-forwarded-client-cert)."""


@lru_cache(maxsize=REMEMBERED)
def inbound_listener(inbound: Inbound, name: str, trust_domain: str) -> Resource:
    """One port of the workload."""
    strict = inbound.mode is Mode.STRICT
    filters = [_inbound_filter(inbound, name)]
    secure = {
        "name": "mutual-tls",
        "filter_chain_match": {"transport_protocol": "tls"},
        "transport_socket": tls.downstream(trust_domain, HTTP_ALPN if inbound.port.protocol.facts.is_http else ()),
        "filters": [tls.SEVERAL_IDENTITIES_REFUSED, *filters],
    }
    plain = {"name": "plaintext", "filter_chain_match": {"transport_protocol": "raw_buffer"}, "filters": filters}
    return _listener(
        name,
        inbound.listen,
        listener_filters=[TLS_INSPECTOR],
        **(SILENT_IS_PLAINTEXT if inbound.port.server_first else AWAITED),
        filter_chains=[secure] if strict else [secure, plain],
    )


@lru_cache(maxsize=REMEMBERED)
def outbound_listener(service: Service, listen: Address) -> Resource:
    """One port of a service, for this workload alone."""
    name = service.resource
    if service.port.protocol.facts.is_http:
        replies = {"local_reply_config": LOCAL_REPLIES} if service.port.protocol.facts.grpc else {}
        network_filter = _http(service.port, name, **replies)
    else:
        network_filter = _tcp_proxy(name)
    return _listener(name, listen, filter_chains=[{"filters": [network_filter]}])


def _inbound_filter(inbound: Inbound, name: str) -> Resource:
    if inbound.port.protocol.facts.is_http:
        return _http(inbound.port, name, **TELL_CALLER)
    return _tcp_proxy(name)


def _http(port: Port, name: str, **fields: Any) -> Resource:
    """Without being told which upgrades to pass, Envoy refuses them all with 403."""
    upgrade = port.protocol.facts.upgrade
    upgrades = {} if upgrade is None else {"upgrade_configs": [{"upgrade_type": upgrade}]}
    return connection_manager(name, rds=_rds(name), **upgrades, **fields)


def _rds(name: str) -> Resource:
    return {"route_config_name": name, "config_source": ADS}


def _tcp_proxy(cluster: str) -> Resource:
    proxy = typed(
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        stat_prefix=cluster,
        cluster=cluster,
        idle_timeout="0s",
    )
    return {"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}


def _listener(name: str, address: Address, **fields: Any) -> Resource:
    return {
        "name": name,
        "address": socket_address(address),
        "per_connection_buffer_limit_bytes": BUFFER_LIMIT,
        "tcp_backlog_size": BACKLOG,
        **fields,
    }
