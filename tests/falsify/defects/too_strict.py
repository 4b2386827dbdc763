"""Data planes and authorities that refuse, or change, more than they have to."""

from pytest_meshcheck.meshes.base import Rotation
from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.meshes.envoy.sidecar_mesh import TRUST_DOMAIN
from pytest_meshcheck.model.pki import Authority
from tests.falsify import parts
from tests.falsify.defect import Defect, Resources
from tests.falsify.defects.retry_answers import STATUS_CHANGED
from tests.falsify.defects.timeout import BOUNDARY


def plaintext_alone(_workload: str, resources: Resources) -> None:
    for listener in parts.inbound(resources):
        listener["filter_chains"] = parts.plaintext_chains(listener) or listener["filter_chains"]


def answers_within_limits_changed(_workload: str, resources: Resources) -> None:
    limited = {name for name, route in parts.outbound_routes(resources) if route["route"]["timeout"] != parts.OFF}
    listeners = [listener for listener in parts.outbound(resources) if listener["name"] in limited]
    parts.script(STATUS_CHANGED.format(status=200, other=203), *listeners)


class NobodyTrusted(EnvoyMesh):
    """Announces a root that has signed nothing once the old one is removed."""

    async def rotate(self, what: Rotation, lifetime: float | None = None) -> None:
        await super().rotate(what, lifetime)
        if what is Rotation.ROOT_DROP:
            self.authority.roots = Authority(TRUST_DOMAIN).roots
            self.publish()


DEFECTS = {
    "enrolled-refused-under-permissive": Defect(
        "Under permissive mutual TLS a server accepts only plaintext.",
        ("mtls/permissive-accepts-both[http]",),
        plaintext_alone,
    ),
    "no-root-after-removal": Defect(
        "When the old root is removed, the new one is removed with it.",
        ("rotation/client-of-removed-root-is-refused",),
        mesh=NobodyTrusted,
    ),
    "answer-within-limit-changed": Defect(
        "Where a limit is in force, an answer of 200 that comes in time becomes one of 203.",
        (f"{BOUNDARY}[1.2]",),
        answers_within_limits_changed,
    ),
}
