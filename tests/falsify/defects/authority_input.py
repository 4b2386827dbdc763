"""What a mesh is given as its authority is misread, ignored, or used though it is broken."""

from collections.abc import Callable

from pytest_meshcheck.model.authority_files import Flaw
from tests.falsify import parts
from tests.falsify.defect import Defect, Plant, Resources
from tests.falsify.defects.roots import BLOCK, FORMS, concerning
from tests.falsify.meshes.authority_input import (
    ExpiredIssuerUsed,
    IssuerCertificateNotFollowed,
    IssuesNothingAfterBrokenInput,
    MismatchedKeyUsed,
    OutOfServiceAfterBrokenInput,
    SelfSignedAfterBrokenInput,
    SilentAboutBrokenInput,
)
from tests.falsify.meshes.faulty import ConnectionsKept, planted

PARTS = "rotation/each-part-takes-effect-alone"
LOUD = tuple(f"rotation/broken-authority-input-is-loud[{flaw}]" for flaw in Flaw)
NOT_USED = "rotation/broken-authority-input-is-not-used"
NEVER_USED = tuple(f"{NOT_USED}[{flaw}]" for flaw in (Flaw.MISMATCHED, Flaw.EXPIRED, Flaw.FOREIGN))


def roots_kept_if(misread: Callable[[str, str], bool]) -> Plant:
    """Keep the roots from before where a bundle is misread: (bundle, bundle from before) -> whether it is."""
    before: dict[str, str] = {}

    def plant(workload: str, resources: Resources) -> None:
        trusted = parts.trusted_ca(resources)
        bundle = trusted["inline_string"]
        if not misread(bundle, before.get(workload, bundle)):
            before[workload] = bundle
        trusted["inline_string"] = before.get(workload, bundle)

    return plant


def only_the_first_root(_workload: str, resources: Resources) -> None:
    trusted = parts.trusted_ca(resources)
    trusted["inline_string"] = BLOCK.findall(trusted["inline_string"])[0]


def begins_otherwise(bundle: str, before: str) -> bool:
    return BLOCK.findall(bundle)[0] != BLOCK.findall(before)[0]


def is_unterminated(bundle: str, _before: str) -> bool:
    return not bundle.endswith("\n")


def has_a_root_twice(bundle: str, _before: str) -> bool:
    blocks = BLOCK.findall(bundle)
    return len(set(blocks)) < len(blocks)


def has_comments(bundle: str, _before: str) -> bool:
    return "#" in bundle


DEFECTS = {
    "bundle-in-another-order-ignored": Defect(
        "A bundle that begins with another root than the one before is ignored.",
        (f"{FORMS}[reversed]",),
        roots_kept_if(begins_otherwise),
    ),
    "unterminated-bundle-ignored": Defect(
        "A bundle without a newline at its end is ignored.", (f"{FORMS}[unterminated]",), roots_kept_if(is_unterminated)
    ),
    "doubled-root-ignored": Defect(
        "A bundle that has a root twice is ignored.", (f"{FORMS}[doubled]",), roots_kept_if(has_a_root_twice)
    ),
    "commented-bundle-ignored": Defect(
        "A bundle with comments is ignored.", (f"{FORMS}[commented]",), roots_kept_if(has_comments)
    ),
    "unterminated-bundle-ignored-by-clients": Defect(
        "A bundle without a newline at its end is ignored by clients.",
        (f"{FORMS}[unterminated]",),
        concerning(parts.client_contexts, roots_kept_if(is_unterminated)),
    ),
    "doubled-root-ignored-by-servers": Defect(
        "A bundle that has a root twice is ignored by servers.",
        (f"{FORMS}[doubled]",),
        concerning(parts.server_contexts, roots_kept_if(has_a_root_twice)),
    ),
    "commented-bundle-ignored-by-clients": Defect(
        "A bundle with comments is ignored by clients.",
        (f"{FORMS}[commented]",),
        concerning(parts.client_contexts, roots_kept_if(has_comments)),
    ),
    "first-root-alone-read-by-clients": Defect(
        "Clients trust only the first root of a bundle.",
        (f"{FORMS}[reversed]",),
        concerning(parts.client_contexts, only_the_first_root),
    ),
    "first-root-alone-read-by-servers": Defect(
        "Servers trust only the first root of a bundle, which pooled connections hide.",
        (f"{FORMS}[reversed]",),
        mesh=planted(concerning(parts.server_contexts, only_the_first_root), ConnectionsKept),
    ),
    "issuer-certificate-not-followed": Defect(
        "A new certificate of the issuer is not used while its key stays the same.",
        (f"{PARTS}[issuer-certificate]",),
        mesh=IssuerCertificateNotFollowed,
    ),
    "silent-about-broken-input": Defect(
        "The control plane says nothing about files of an authority that it cannot use.",
        LOUD,
        mesh=SilentAboutBrokenInput,
    ),
    "out-of-service-after-broken-input": Defect(
        "Data planes refuse requests while the control plane has unusable authority files.",
        (*LOUD, *NEVER_USED),
        mesh=OutOfServiceAfterBrokenInput,
    ),
    "issues-nothing-after-broken-input": Defect(
        "A control plane that is given broken files of an authority renews no certificate any more.",
        NEVER_USED,
        mesh=IssuesNothingAfterBrokenInput,
    ),
    "expired-issuer-used": Defect(
        "The control plane reports an issuer that has expired, and signs what falls due with it.",
        (f"{NOT_USED}[{Flaw.EXPIRED}]",),
        mesh=ExpiredIssuerUsed,
    ),
    "mismatched-key-used": Defect(
        "The control plane reports a key that is not the issuer's, and signs what falls due with it.",
        (f"{NOT_USED}[{Flaw.MISMATCHED}]",),
        mesh=MismatchedKeyUsed,
    ),
    "self-signed-after-broken-input": Defect(
        "The control plane makes a root of its own where it cannot use the files of an authority.",
        (*LOUD, *NEVER_USED),
        mesh=SelfSignedAfterBrokenInput,
    ),
}
