"""HTTP settings of sidecars: forward messages unchanged, add as little as possible."""

from typing import Any

from pytest_meshcheck.meshes.envoy.xds.resources import Resource, typed

BUFFER_LIMIT = 4 * 1024 * 1024
"""The buffer of a connection in bytes; it keeps bodies until no retry can need them any more."""

PRESERVE_CASE = {
    "stateful_formatter": {
        "name": "preserve_case",
        "typed_config": typed("envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig"),
    }
}
HTTP1 = {"header_key_format": PRESERVE_CASE, "enable_trailers": True}

ROUTER = {
    "name": "envoy.filters.http.router",
    "typed_config": typed("envoy.extensions.filters.http.router.v3.Router", suppress_envoy_headers=True),
}

_TIMED_OUT_CALL: Resource = {
    "filter": {
        "and_filter": {
            "filters": [
                {"response_flag_filter": {"flags": ["UT"]}},
                {"header_filter": {"header": {"name": "content-type", "string_match": {"prefix": "application/grpc"}}}},
            ]
        }
    },
    "headers_to_add": [
        {"header": {"key": "grpc-status", "value": "4"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"},
    ],
}
LOCAL_REPLIES: Resource = {"mappers": [_TIMED_OUT_CALL]}
"""Maps timeouts to DEADLINE_EXCEEDED for gRPC callers; Envoy's default maps the status 504 to UNAVAILABLE."""


NOBODY: Resource = {"cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]}
"""An address that no caller has; with an empty list Envoy trusts private networks."""


def connection_manager(stat_prefix: str, **fields: Any) -> Resource:
    """An HTTP connection manager without limits; it does not change paths, header names or the Server header.

    No caller is internal, whatever it writes into x-forwarded-for: Envoy would obey its x-envoy-* headers.
    """
    manager = typed(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=stat_prefix,
        codec_type="AUTO",
        stream_idle_timeout="0s",
        common_http_protocol_options={"idle_timeout": "0s"},
        http_protocol_options=HTTP1,
        server_header_transformation="PASS_THROUGH",
        internal_address_config=NOBODY,
        generate_request_id=False,
        proxy_100_continue=True,
        http_filters=[ROUTER],
        **fields,
    )
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}


def upstream_options(requests_per_connection: int | None = None) -> Resource:
    """Use the client's version of HTTP towards the server."""
    options = typed(
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        use_downstream_protocol_config={"http_protocol_options": HTTP1, "http2_protocol_options": {}},
    )
    if requests_per_connection is not None:
        options["common_http_protocol_options"] = {"max_requests_per_connection": requests_per_connection}
    return {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options}
