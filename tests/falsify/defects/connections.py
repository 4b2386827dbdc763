"""Data planes that do not part with their connections."""

from tests.falsify.defect import Defect, Resources
from tests.falsify.defects.retry_bodies import UPSTREAM


def connections_kept(_workload: str, resources: Resources) -> None:
    for cluster in resources["clusters"]:
        cluster.get("typed_extension_protocol_options", {}).get(UPSTREAM, {}).pop("common_http_protocol_options", None)


DEFECTS = {
    "connections-kept": Defect(
        "A limit of the requests on a connection is accepted and ignored.",
        ("rotation/connections-are-replaced-at-their-limit",),
        connections_kept,
    ),
}
