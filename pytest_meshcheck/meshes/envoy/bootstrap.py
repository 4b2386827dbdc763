"""What an Envoy process is started with; everything else it reads from files that are replaced while it runs."""

import json
from pathlib import Path

from pytest_meshcheck.meshes.envoy.envoyjson import source
from pytest_meshcheck.meshes.envoy.hot_restart import Generation

ADMIN_SOCKET = "admin.sock"
LONGEST_SOCKET_PATH = 107
"""Octets that Linux allows in the path of a Unix socket."""


KEPT_STATISTICS = (
    *({"prefix": prefix} for prefix in ("listener_manager.", "cluster_manager.", "server.", "sds.")),
    *({"suffix": suffix} for suffix in (".version_text", ".update_rejected", ".update_failure")),
    *({"suffix": suffix} for suffix in (".no_filter_chain_match", ".upstream_rq_retry", ".upstream_rq_timeout")),
    *({"contains": part} for part in (".ssl.connection_error", ".ssl.fail_verify")),
)
"""All others are left out: Envoy goes through every one of them for each answer, and ``settled`` asks often."""


def bootstrap(workload: str) -> str:
    """The bootstrap configuration of a workload's sidecar; paths are relative to the directory that it runs in."""
    return json.dumps(
        {
            "node": {"id": workload, "cluster": "meshcheck"},
            "admin": {"address": {"pipe": {"path": ADMIN_SOCKET}}},
            "stats_config": {
                "use_all_default_tags": False,
                "stats_matcher": {"inclusion_list": {"patterns": list(KEPT_STATISTICS)}},
            },
            "dynamic_resources": {"lds_config": source("listeners"), "cds_config": source("clusters")},
        }
    )


def command(binary: Path, workload: str, generation: Generation | None = None) -> list[str]:
    """The command that starts a sidecar: with one worker, and deaf to nothing that a publication says.

    One that is to be replaced without a break, or replaces another so, has a generation.
    """
    return [
        str(binary),
        *("--config-yaml", bootstrap(workload)),
        *("--concurrency", "1"),
        *(generation.arguments if generation else ("--disable-hot-restart",)),
        "--reject-unknown-dynamic-fields",
        *("--log-level", "warning"),
    ]
