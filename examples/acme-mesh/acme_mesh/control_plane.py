"""acme itself: a control plane that configures the embedded mesh from acme's resources.

A vendor's mesh has its own; an adapter needs only ``policies`` and ``adapter``.
"""

from dataclasses import dataclass

from acme_mesh.policies import ACCEPTS, AGAIN_ON, EVERY
from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.model.policy import (
    Failure,
    MutualTls,
    Namespace,
    Policy,
    RequestsPerConnection,
    Retry,
    Timeout,
    WholeMesh,
)
from pytest_meshcheck.model.workload_spec import WorkloadSpec
from pytest_meshcheck.platforms.base import Manifest
from pytest_meshcheck.platforms.local.addresses import Member
from pytest_meshcheck.platforms.local.platform import Processes

MODES = {tuple(accepts): mode for mode, accepts in ACCEPTS.items()}
FAILURES: dict[str, Failure] = {word: failure for failure, word in AGAIN_ON.items()}


@dataclass(frozen=True)
class AcmeControlPlane:
    """Translates acme's resources into those of the embedded mesh whenever they change."""

    platform: Processes
    embedded: EnvoyMesh

    async def admit(self, member: Member) -> None:
        """Handle the start of a workload."""
        await self.embedded.admit(member)

    async def dismiss(self, member: Member) -> None:
        """Handle the end of a workload."""
        await self.embedded.dismiss(member)

    async def retire(self, member: Member) -> None:
        """Handle the approaching end of a workload."""
        await self.embedded.retire(member)

    async def changed(self) -> None:
        """Handle a change of resources or endpoint addresses."""
        resources = self.platform.resources
        written = [resource for resource in resources.values() if resource["kind"] in MEANINGS]
        resources.clear()
        for manifest in (*written, *(self._translated(resource) for resource in written)):
            metadata = manifest["metadata"]
            resources[manifest["kind"], metadata["namespace"], metadata["name"]] = manifest
        await self.embedded.changed()

    async def settled(self) -> None:
        """Wait until every data plane has applied the publication."""
        await self.embedded.settled()

    def _translated(self, resource: Manifest) -> Manifest:
        (manifest,) = self.embedded.render([MEANINGS[resource["kind"]](resource)])
        return manifest


def peering(resource: Manifest) -> Policy:
    """The meaning of an AcmePeering."""
    namespace, name = resource["metadata"]["namespace"], resource["metadata"]["name"]
    mode = MODES[tuple(resource["spec"]["accepts"])]
    if namespace == EVERY:
        return MutualTls(WholeMesh(), mode)
    return MutualTls(Namespace(namespace) if name == EVERY else WorkloadSpec(namespace, name), mode)


def traffic(resource: Manifest) -> Policy:
    """The meaning of an AcmeTraffic."""
    spec = resource["spec"]
    service = WorkloadSpec(resource["metadata"]["namespace"], spec["service"])
    if "within" in spec:
        return Timeout(service, seconds(spec["within"]))
    if "requestsPerConnection" in spec:
        return RequestsPerConnection(service, spec["requestsPerConnection"])
    again = spec["againOn"]
    return Retry(
        service,
        spec["tries"] - 1,
        statuses=frozenset(int(word) for word in again if word not in FAILURES),
        on=frozenset(FAILURES[word] for word in again if word in FAILURES),
        per_try=seconds(spec["eachWithin"]) if "eachWithin" in spec else None,
    )


def seconds(duration: str) -> float:
    """``250ms`` in seconds."""
    return int(duration.removesuffix("ms")) / 1000


MEANINGS = {"AcmePeering": peering, "AcmeTraffic": traffic}
