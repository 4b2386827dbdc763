"""Listeners: inbound ones for the callers of a workload, outbound ones for its calls to services.

Strict and permissive mode differ in their filter chains only, and share the chain for TLS. Envoy then updates the
listener in place, and keeps connections with mutual TLS open
(https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/lds).
"""

from functools import lru_cache
from typing import Any

from pytest_meshcheck.meshes.envoy.sidecar_config import Inbound, Service
from pytest_meshcheck.meshes.envoy.xds import tls
from pytest_meshcheck.meshes.envoy.xds.http import BUFFER_LIMIT, LOCAL_REPLIES, connection_manager
from pytest_meshcheck.meshes.envoy.xds.resources import ADS, REMEMBERED, Resource, by_name, socket_address, typed
from pytest_meshcheck.model.policy import Mode
from pytest_meshcheck.model.workload_spec import Address, Port

HTTP_ALPN = ("h2", "http/1.1")
BACKLOG = 4096

TLS_INSPECTOR = {
    "name": "envoy.filters.listener.tls_inspector",
    "typed_config": typed("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"),
}

AWAITED: Resource = {"listener_filters_timeout": "10s"}
"""The time limit for the first bytes of a client; long, for busy machines."""

SILENT_IS_PLAINTEXT: Resource = {"listener_filters_timeout": "0.5s", "continue_on_listener_filters_timeout": True}
"""The same for server-first protocols: a silent client waits for the server, so it uses plaintext."""

FORWARD_CALLER: Resource = {
    "forward_client_cert_details": "SANITIZE_SET",
    "set_current_client_cert_details": {"uri": True},
}
"""Replace the header x-forwarded-client-cert by the identity in the caller's certificate."""


SEVERAL_IDENTITIES_REFUSED = by_name(tls.SEVERAL_IDENTITIES_REFUSED)
"""By name, because Envoy compares all messages of each kept filter chain whenever a mode of mutual TLS changes."""


@lru_cache(maxsize=REMEMBERED)
def inbound_listener(inbound: Inbound, name: str, trust_domain: str) -> Resource:
    """The listener of one port of the workload."""
    strict = inbound.mode is Mode.STRICT
    filters = [_inbound_filter(inbound, name)]
    secure = {
        "name": "mutual-tls",
        "filter_chain_match": {"transport_protocol": "tls"},
        "transport_socket": tls.downstream(trust_domain, HTTP_ALPN if inbound.port.protocol.facts.is_http else ()),
        "filters": [SEVERAL_IDENTITIES_REFUSED, *filters],
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
    """The listener for one port of a service, for this workload only."""
    name = service.resource
    if service.port.protocol.facts.is_http:
        replies = {"local_reply_config": LOCAL_REPLIES} if service.port.protocol.facts.grpc else {}
        network_filter = _http(service.port, name, **replies)
    else:
        network_filter = _tcp_proxy(name)
    return _listener(name, listen, filter_chains=[{"filters": [network_filter]}])


def _inbound_filter(inbound: Inbound, name: str) -> Resource:
    if inbound.port.protocol.facts.is_http:
        return _http(inbound.port, name, **FORWARD_CALLER)
    return _tcp_proxy(name)


def _http(port: Port, name: str, **fields: Any) -> Resource:
    """Envoy refuses every upgrade that is not listed, with 403."""
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
