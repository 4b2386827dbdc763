"""The bootstrap of an Envoy process; everything else comes over the stream of the control plane."""

import json
from pathlib import Path

from pytest_meshcheck.meshes.envoy.process.hot_restart import Generation
from pytest_meshcheck.meshes.envoy.xds.resources import ADS, Resource, typed

ADMIN_SOCKET = "admin.sock"
CONTROL_PLANE_SOCKET = "xds.sock"
CONTROL_PLANE = "control-plane"
DRAINED_WITHIN = 1
"""Seconds after which Envoy cuts the connections of a deleted filter chain. Until then the old listener keeps a socket,
and frequent changes of policies would use up the open files that a user may have."""

RECONNECTS = {"retry_back_off": {"base_interval": "0.05s", "max_interval": "0.5s"}}
"""The pauses of a sidecar whose control plane is away; by default up to 30 s pass between two attempts to connect."""

HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def _control_plane() -> Resource:
    """The cluster of the control plane, whose socket is next to the directories of all sidecars."""
    endpoint = {"endpoint": {"address": {"pipe": {"path": f"../{CONTROL_PLANE_SOCKET}"}}}}
    http2 = typed(HTTP_OPTIONS, explicit_http_config={"http2_protocol_options": {}})
    return {
        "name": CONTROL_PLANE,
        "type": "STATIC",
        "load_assignment": {"cluster_name": CONTROL_PLANE, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {HTTP_OPTIONS: http2},
    }


def bootstrap(node: str) -> str:
    """The bootstrap configuration of one process; paths are relative to its working directory."""
    stream = {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": CONTROL_PLANE, "retry_policy": RECONNECTS}}],
        "set_node_on_first_message_only": True,
    }
    return json.dumps(
        {
            "node": {"id": node, "cluster": "meshcheck"},
            "admin": {"address": {"pipe": {"path": ADMIN_SOCKET}}},
            "stats_config": {"use_all_default_tags": False},
            "dynamic_resources": {"ads_config": stream, "lds_config": ADS, "cds_config": ADS},
            "static_resources": {"clusters": [_control_plane()]},
        }
    )


def command(binary: Path, node: str, generation: Generation | None = None) -> list[str]:
    """The command that starts a sidecar, with one worker thread.

    A sidecar that takes part in hot restarts has a generation.
    """
    return [
        str(binary),
        *("--config-yaml", bootstrap(node)),
        *("--concurrency", "1"),
        *(generation.arguments if generation else ("--disable-hot-restart", "--drain-time-s", str(DRAINED_WITHIN))),
        "--reject-unknown-dynamic-fields",
        *("--log-level", "warning"),
    ]
