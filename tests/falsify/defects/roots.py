"""Roots that are announced too late, to too few, or for too long."""

import copy
import re
from collections.abc import Callable
from typing import Any

from pytest_meshcheck.model.pki import Issuer, pem
from tests.falsify import parts
from tests.falsify.defect import Defect, Plant, Resources
from tests.falsify.defects.rotation import ROOT
from tests.falsify.meshes.control_planes import DeafAfterRootChange
from tests.falsify.meshes.faulty import NoOverlap

BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
OTHER_ROOTS = "other-roots"


def frozen() -> Plant:
    """Announce the roots that were announced first, for ever."""
    first: list[Any] = []

    def plant(_workload: str, resources: Resources) -> None:
        roots = parts.secret(resources, "roots")
        first.append(roots["validation_context"])
        roots["validation_context"] = copy.deepcopy(first[0])

    return plant


def kept() -> Plant:
    """Announce every root that was ever announced."""
    ever: dict[str, str] = {}

    def plant(_workload: str, resources: Resources) -> None:
        trusted = parts.trusted_ca(resources)
        ever[trusted["inline_string"]] = ""
        trusted["inline_string"] = "".join(ever)

    return plant


def none_left() -> Plant:
    """Replace the roots by one that signed nothing, while there are fewer than before."""
    most: dict[str, int] = {}
    nobodys = pem(Issuer.self_signed("nobody").certificate).decode()

    def plant(workload: str, resources: Resources) -> None:
        trusted = parts.trusted_ca(resources)
        number = len(set(BLOCK.findall(trusted["inline_string"])))
        most[workload] = max(number, most.get(workload, 0))
        if number < most[workload]:
            trusted["inline_string"] = nobodys

    return plant


def concerning(contexts: Callable[[Resources], list[parts.Part]], misread: Plant) -> Plant:
    """Confine a fault in the announced roots to these TLS contexts."""

    def plant(workload: str, resources: Resources) -> None:
        announced = copy.deepcopy(parts.secret(resources, "roots"))
        misread(workload, resources)
        parts.secret(resources, "roots")["name"] = OTHER_ROOTS
        resources["secrets"].append(announced)
        for context in contexts(resources):
            validation = context["common_tls_context"]["combined_validation_context"]
            parts.refer(validation["validation_context_sds_secret_config"], OTHER_ROOTS)

    return plant


OVERLAP = ("rotation/clients-of-both-roots-are-served", "rotation/servers-of-both-roots-are-reached")
CLIENT_REMOVED = "rotation/client-of-removed-root-is-refused"
SERVER_REMOVED = "rotation/server-of-removed-root-is-refused"
FORMS = "rotation/bundle-form-does-not-matter"

DEFECTS = {
    "second-root-never-announced": Defect(
        "A root that is added is never announced.",
        (*OVERLAP, ROOT, "rotation/roots-take-effect-alone"),
        frozen(),
    ),
    "second-root-unknown-to-clients": Defect(
        "A root that is added is announced to servers alone.",
        (*OVERLAP, ROOT),
        concerning(parts.client_contexts, frozen()),
    ),
    "no-root-left-after-removal": Defect(
        "After a root is removed, data planes trust none of the remaining roots.",
        (CLIENT_REMOVED, SERVER_REMOVED),
        none_left(),
    ),
    "smaller-bundle-taken-for-empty": Defect(
        "A bundle with fewer roots than the one before is taken for an empty one.",
        (f"{FORMS}[unterminated]",),
        none_left(),
    ),
    "old-root-dropped-at-once": Defect(
        "As soon as certificates are issued under the new root, the old one is no longer announced.",
        OVERLAP,
        mesh=NoOverlap,
    ),
    "old-root-kept": Defect(
        "A root that is removed stays trusted.", (CLIENT_REMOVED, SERVER_REMOVED, f"{FORMS}[doubled]"), kept()
    ),
    "old-root-kept-by-clients": Defect(
        "A root that is removed stays trusted by clients.", (SERVER_REMOVED,), concerning(parts.client_contexts, kept())
    ),
    "deaf-after-root-change": Defect(
        "After a root has been removed, data planes ignore every further change.",
        (CLIENT_REMOVED,),
        mesh=DeafAfterRootChange,
    ),
}
