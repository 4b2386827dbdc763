"""The embedded mesh that lets nobody in: whatever reaches a sidecar from outside is closed."""

from tests.falsify import parts
from tests.falsify.defect import Resources
from tests.falsify.meshes.upgrading import Upgradable

RBAC = {
    "name": "envoy.filters.network.rbac",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC",
        "stat_prefix": "refuse_all",
        "rules": {"action": "ALLOW", "policies": {}},
    },
}


class RefuseAll(Upgradable):
    """Its servers close every connection, and its clients every connection to somebody else."""

    def __init__(self, version: str | None = None, *, timeout_scale: float = 1.0) -> None:
        super().__init__(version, publish_hook=refuse, timeout_scale=timeout_scale)


def refuse(_workload: str, resources: Resources) -> Resources:
    """Put a filter that allows nobody before all others."""
    for listener in (*parts.inbound(resources), *parts.outbound(resources)):
        for chain in listener["filter_chains"]:
            chain["filters"] = [RBAC, *chain["filters"]]
    return resources
