"""Parts of Envoy's v3 API as protobuf-JSON: https://www.envoyproxy.io/docs/envoy/latest/api-v3/api."""

from typing import Any

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.workload_spec import Address

Resource = dict[str, Any]
Resources = dict[str, list[Resource]]
"""``listeners``, ``clusters``, ``routes``, ``endpoints``, ``secrets``, ``filters`` of one sidecar."""

TYPES = {
    "listeners": "type.googleapis.com/envoy.config.listener.v3.Listener",
    "clusters": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    "routes": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
    "endpoints": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
    "secrets": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
    "filters": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
}

REMEMBERED = 4096
"""The cache size per kind: most resources of a publication are unchanged, and stay the same object."""

NAMES = {"endpoints": "cluster_name"}
"""The field with a resource's name, for kinds where it is not ``name``."""


def name_of(kind: str, resource: Resource) -> str:
    """The name of a resource."""
    return str(resource[NAMES.get(kind, "name")])


ADS: Resource = {"resource_api_version": "V3", "ads": {}}
"""The config source of a resource: the aggregated stream of the control plane."""


def typed(type_name: str, **fields: Any) -> Resource:
    """A message in an Any."""
    return {"@type": f"type.googleapis.com/{type_name}", **fields}


def by_name(network_filter: Resource) -> Resource:
    """A reference to a network filter that is a resource of its own."""
    kind = network_filter["typed_config"]["@type"]
    return {"name": network_filter["name"], "config_discovery": {"config_source": ADS, "type_urls": [kind]}}


def socket_address(address: Address) -> Resource:
    """A TCP address."""
    return {"socket_address": {"address": address[0], "port_value": address[1]}}


def seconds(value: float) -> str:
    """A Duration, to the microsecond."""
    return f"{value:.6f}".rstrip("0").rstrip(".") + "s"


def checked(workload: str, resources: object) -> Resources:
    """Resources from a hook, after a check of their form.

    Raises:
        Inconclusive: The form is wrong; names the wrong part.
    """
    if not isinstance(resources, dict) or set(resources) != set(TYPES):
        found = sorted(resources) if isinstance(resources, dict) else type(resources).__name__
        raise Inconclusive(f"resources for {workload} must be a dict with the keys {', '.join(TYPES)}; got {found}")
    for kind, entries in resources.items():
        key = NAMES.get(kind, "name")
        if not isinstance(entries, list) or not all(isinstance(one, dict) and key in one for one in entries):
            raise Inconclusive(
                f"{kind} for {workload} must be a list of dicts that have a {key!r}; got {entries!r:.200}"
            )
    return resources
