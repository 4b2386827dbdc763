"""Control planes that are late, or mistaken, about workloads that start, or end by themselves."""

import asyncio
from typing import Any

from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.meshes.envoy.policies import EVERY
from pytest_meshcheck.meshes.envoy.sidecar_config import SidecarConfig
from pytest_meshcheck.meshes.envoy.xds.resources import Resources as Published
from pytest_meshcheck.platforms.local.addresses import Member
from tests.falsify import parts
from tests.falsify.defect import Defect, Resources
from tests.falsify.defects.mtls import accept_plaintext

FIRST_DIAL = "lifecycle/first-dial-is-served"
JOB = "lifecycle/job-ends"
WINDOW = "mtls/no-plaintext-window-at-start"
WITHOUT_POLICIES = 0.3
"""Seconds."""
CHURN = "identity/right-identity-under-churn"


class PoliciesComeLate(EnvoyMesh):
    """A sidecar begins without policies, and takes plaintext until the next change of them."""

    def __init__(self, version: str | None = None, *, timeout_scale: float = 1.0) -> None:
        super().__init__(version, timeout_scale=timeout_scale)
        self._young: set[str] = set()

    async def admit(self, member: Member) -> None:
        self._young.add(str(member))
        await super().admit(member)

    async def changed(self) -> None:
        self._young.clear()
        self.publish(force=True)

    def _resources(self, config: SidecarConfig) -> Published:
        resources = super()._resources(config)
        if config.workload not in self._young:
            return resources
        listeners = [dict(one) | {"filter_chains": list(one["filter_chains"])} for one in resources["listeners"]]
        for listener in parts.inbound({"listeners": listeners}):
            accept_plaintext(listener)
        return resources | {"listeners": listeners}


class NarrowPoliciesComeLate(PoliciesComeLate):
    """The same, but a sidecar begins with the policies for its whole namespace."""

    async def admit(self, member: Member) -> None:
        applied = self._of_platform().resources.values()
        if any(one["kind"] == "MutualTls" and one["metadata"]["name"] == EVERY for one in applied):
            await EnvoyMesh.admit(self, member)
        else:
            await super().admit(member)


class PoliciesComeSoon(PoliciesComeLate):
    """A sidecar begins without policies, and has them by the time that its workload counts as started."""

    async def admit(self, member: Member) -> None:
        await super().admit(member)
        await asyncio.sleep(WITHOUT_POLICIES)
        self._young.discard(str(member))
        self.publish(force=True)
        await self.settled()


class CallsComeLate(EnvoyMesh):
    """A sidecar begins without the listeners for calls, and gets them when the next workload starts."""

    _newest = ""

    async def admit(self, member: Member) -> None:
        self._newest = str(member)
        await super().admit(member)

    def publish(self, *, force: bool = False) -> None:
        super().publish(force=True)

    def _resources(self, config: SidecarConfig) -> Published:
        resources = super()._resources(config)
        return resources | {"listeners": parts.inbound(resources)} if config.workload == self._newest else resources


class OutlivesJobs(EnvoyMesh):
    """The sidecar of a job goes on when its application has ended."""

    async def dismiss(self, member: Member) -> None:
        if not member.spec.job:
            await super().dismiss(member)


class BorrowedAtFirst:
    """A workload begins with the certificate of the first one of all, and has its own from the next publication on."""

    def __init__(self) -> None:
        self._lent: dict[str, Any] = {}
        self._known: set[str] = set()

    def __call__(self, workload: str, resources: Resources) -> None:
        identity = parts.secret(resources, "identity")
        self._lent = self._lent or identity["tls_certificate"]
        if workload not in self._known:
            identity["tls_certificate"] = self._lent
        self._known.add(workload)


class PredecessorsCertificate:
    """A workload gets the certificate of the one whose name differs in its last digit alone."""

    def __init__(self) -> None:
        self._first: dict[str, dict[str, Any]] = {}

    def __call__(self, workload: str, resources: Resources) -> None:
        identity = parts.secret(resources, "identity")
        kind = workload.rstrip("0123456789")
        if kind != workload:
            identity["tls_certificate"] = self._first.setdefault(kind, identity["tls_certificate"])


DEFECTS = {
    "policies-come-late": Defect(
        "A workload that starts takes plaintext until the next change of a policy.",
        (f"{WINDOW}[2]",),
        mesh=PoliciesComeLate,
    ),
    "narrow-policies-come-late": Defect(
        "A workload that starts takes plaintext at first, unless a policy for its namespace says otherwise.",
        (f"{WINDOW}[2]",),
        mesh=NarrowPoliciesComeLate,
    ),
    "policies-come-soon": Defect(
        "A workload that starts takes plaintext for a third of a second, until it counts as started.",
        (f"{WINDOW}[2]",),
        mesh=PoliciesComeSoon,
    ),
    "calls-come-late": Defect(
        "A workload that starts reaches nobody until the next one starts.", (FIRST_DIAL,), mesh=CallsComeLate
    ),
    "certificate-borrowed-at-first": Defect(
        "A workload that starts calls under another one's certificate at first.", (FIRST_DIAL,), BorrowedAtFirst()
    ),
    "outlives-jobs": Defect(
        "The data plane of a job goes on when the application has ended.", (JOB,), mesh=OutlivesJobs
    ),
    "certificate-of-predecessor": Defect(
        "A workload that starts is given the certificate of an earlier one.",
        (f"{CHURN}[4]",),
        PredecessorsCertificate(),
    ),
}
