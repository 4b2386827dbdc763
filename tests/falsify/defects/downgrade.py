"""Data planes that talk in plaintext, or not at all, where they should talk mutual TLS."""

from collections.abc import Mapping
from typing import Any

from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.meshes.envoy.sidecar_config import SidecarConfig
from pytest_meshcheck.meshes.envoy.xds.resources import Resources as Published
from pytest_meshcheck.model.workload_spec import Enrolment
from pytest_meshcheck.platforms.local.addresses import Member
from tests.falsify import parts
from tests.falsify.defect import Defect, Resources
from tests.falsify.defects.mtls import plaintext_to_the_server

DOWNGRADE = "mtls/no-silent-downgrade"
RECORDED = "mtls/downgrade-is-recorded"
MATRIX = "mtls/enrolment-matrix"
ROUTED = "mtls/unreadable-with-routing-and-authorization-attached"
PORTS = ("http", "grpc", "tcp", "tcp-banner")

PLAIN = {"plain": True}
RAW = {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"}


class DowngradesForStrangers(EnvoyMesh):
    """Its clients call those endpoints in plaintext that have no identity."""

    def _resources(self, config: SidecarConfig) -> Published:
        resources = super()._resources(config)
        members = self._of_platform().members.values()
        strangers = {
            member.data_plane(port.name)[0]
            for member in members
            if member.spec.enrolment is Enrolment.UNENROLLED
            for port in member.spec.ports
        }
        return resources | {
            "endpoints": [_matched(one, strangers) for one in resources["endpoints"]],
            "clusters": [_with_plaintext(one) for one in resources["clusters"]],
        }


def _matched(endpoints: Mapping[str, Any], strangers: set[str]) -> dict[str, Any]:
    def marked(one: Mapping[str, Any]) -> dict[str, Any]:
        if one["endpoint"]["address"]["socket_address"]["address"] not in strangers:
            return dict(one)
        return one | {"metadata": {"filter_metadata": {"envoy.transport_socket_match": PLAIN}}}

    groups = [{"lb_endpoints": [marked(one) for one in group["lb_endpoints"]]} for group in endpoints["endpoints"]]
    return {**endpoints, "endpoints": groups}


def _with_plaintext(cluster: Mapping[str, Any]) -> dict[str, Any]:
    if "transport_socket" not in cluster:
        return dict(cluster)
    plain = {"name": "plain", "match": PLAIN, "transport_socket": {"name": "raw", "typed_config": RAW}}
    return {**cluster, "transport_socket_matches": [plain]}


class DowngradesWhileTerminating(EnvoyMesh):
    """A sidecar that drains calls everybody in plaintext."""

    def _resources(self, config: SidecarConfig) -> Published:
        resources = super()._resources(config)
        if config.workload not in self._retired:
            return resources
        clusters = [dict(one) for one in resources["clusters"]]
        plaintext_to_the_server(config.workload, {"clusters": clusters})
        return resources | {"clusters": clusters}

    async def retire(self, member: Member) -> None:
        await super().retire(member)
        self.publish(force=True)
        await self.settled()


def services_left_without_endpoints(_workload: str, resources: Resources) -> None:
    for endpoints in resources["endpoints"]:
        if sum(len(group["lb_endpoints"]) for group in endpoints["endpoints"]) > 1:
            endpoints["endpoints"] = []


def mutual_tls_to_everybody(_workload: str, resources: Resources) -> None:
    sockets = [cluster["transport_socket"] for cluster in resources["clusters"] if "transport_socket" in cluster]
    for cluster in resources["clusters"]:
        if cluster["name"].startswith("outbound."):
            cluster.setdefault("transport_socket", sockets[0])


def plaintext_where_retried(_workload: str, resources: Resources) -> None:
    retried = {name for name, route in parts.outbound_routes(resources) if "retry_policy" in route["route"]}
    for cluster in resources["clusters"]:
        if cluster["name"] in retried:
            cluster.pop("transport_socket", None)


DEFECTS = {
    "downgrades-for-strangers": Defect(
        "A client's data plane calls endpoints without an identity in plaintext, though their service has one.",
        (DOWNGRADE,),
        mesh=DowngradesForStrangers,
    ),
    "downgrades-while-terminating": Defect(
        "The data plane of a workload that is about to end calls others in plaintext.",
        ("mtls/unreadable-while-terminating",),
        mesh=DowngradesWhileTerminating,
    ),
    "services-left-without-endpoints": Defect(
        "A service loses all its endpoints when a second one joins.",
        (RECORDED,),
        services_left_without_endpoints,
    ),
    "mutual-tls-to-everybody": Defect(
        "A client's data plane talks mutual TLS to servers outside of the mesh, too.",
        tuple(f"{MATRIX}[{mode}-{port}-service]" for mode in ("permissive", "strict") for port in PORTS),
        mutual_tls_to_everybody,
    ),
    "plaintext-where-retried": Defect(
        "Clients in the mesh call a service in plaintext while it has a policy of retries.",
        tuple(f"{ROUTED}[{port}-{mode}]" for mode in ("permissive", "strict") for port in ("http", "grpc")),
        plaintext_where_retried,
    ),
}
