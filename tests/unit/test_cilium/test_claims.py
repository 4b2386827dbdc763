"""What is claimed of which variant in which version, and that the three kinds of protection stay apart."""

import tomllib
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pytest_meshcheck.meshes.cilium.adapter import ipsec, spire, wireguard, ztunnel
from pytest_meshcheck.meshes.cilium.documented import DOCUMENTED, in_version, is_in
from pytest_meshcheck.meshes.cilium.mesh import CiliumMesh
from pytest_meshcheck.meshes.cilium.variants import IPSEC, SPIRE, WIREGUARD, ZTUNNEL, Variant
from pytest_meshcheck.meshes.documented import Documented, MtlsPromises
from pytest_meshcheck.meshes.registry import ENTRY_POINTS, MeshRequest
from pytest_meshcheck.model.capability import NOT_CLAIMED, Capability
from pytest_meshcheck.model.errors import MeshUnavailable

from .conftest import Judged

VARIANTS = (WIREGUARD, IPSEC, SPIRE, ZTUNNEL)
by_variant = pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)

NETWORK = {"kubernetes", "network-policy", "node-encryption", "proxy-restart", "upgrade"}
ZTUNNEL_OF_1_19 = {"mtls", "spiffe", "confidentiality", "custom-authority", "kubernetes"}
CLAIMED = {
    # variant: first version of a series: what is claimed in it
    "cilium": {
        "1.18.0": {*NETWORK, "timeout"},
        "1.19.6": {*NETWORK, "timeout"},
        "1.20.0": {*NETWORK, "timeout", "retry", "per-try-timeout"},
    },
    "cilium-ipsec": {"1.20.0": {*NETWORK, "timeout", "retry", "per-try-timeout"}},
    "cilium-spire": {
        "1.20.0": NETWORK - {"node-encryption"} | {"timeout", "retry", "per-try-timeout", "mutual-authentication"}
    },
    "cilium-ztunnel": {
        "1.19.0": ZTUNNEL_OF_1_19,
        "1.20.0": {*ZTUNNEL_OF_1_19, "permissive-mtls", "permissive-server-first"},
    },
}
CASES = [(name, version, claimed) for name, versions in CLAIMED.items() for version, claimed in versions.items()]


@pytest.mark.parametrize(("name", "version", "claimed"), CASES)
def test_claimed_in_a_version(name: str, version: str, claimed: set[str]) -> None:
    (variant,) = [one for one in VARIANTS if one.name == name]
    held = in_version(variant.claims, version)
    assert {str(capability) for capability, claim in held.items() if claim.supported} == claimed


@by_variant
def test_claims_have_sources_and_denials_reasons(variant: Variant) -> None:
    for claim in variant.claims.values():
        assert urlsplit(claim.source).scheme == "https"
        assert claim.supported or claim.note


@pytest.mark.parametrize("capability", Capability)
def test_what_an_adapter_leaves_out_is_not_claimed(capability: Capability, judged: Judged) -> None:
    def terse(order: MeshRequest) -> CiliumMesh:
        claims = {one: claim for one, claim in WIREGUARD.claims.items() if one is not capability}
        return CiliumMesh(order, replace(WIREGUARD, claims=claims))

    mesh = judged(terse)
    assert not mesh.claim(capability).supported
    assert mesh.claim(capability).why == "its adapter does not mention it"
    assert {one for one in Capability if mesh.claim(one) is NOT_CLAIMED} == {capability}


@by_variant
def test_only_ztunnel_is_said_to_be_mutual_tls_and_nothing_to_be_strict(variant: Variant) -> None:
    assert variant.claims[Capability.MTLS].supported == (variant is ZTUNNEL)
    assert variant.claims[Capability.CONFIDENTIALITY].supported == (variant is ZTUNNEL)
    assert not variant.claims[Capability.STRICT_MTLS].supported


def test_the_reason_says_which_of_the_three_it_is() -> None:
    reasons = {variant.name: variant.claims[Capability.STRICT_MTLS].note for variant in VARIANTS}
    assert "WireGuard authenticates nodes" in reasons["cilium"]
    assert "IPsec authenticates nodes" in reasons["cilium-ipsec"]
    assert "carry no TLS" in reasons["cilium-spire"]
    assert "plaintext is always accepted" in reasons["cilium-ztunnel"]


def test_a_retry_before_1_20_is_unsupported_because_it_never_acts() -> None:
    claim = in_version(WIREGUARD.claims, "1.19.6")[Capability.RETRY]
    assert not claim.supported
    assert (claim.note, claim.source) == (
        "before 1.20 a retry of an HTTPRoute is accepted without effect",
        "https://github.com/cilium/cilium/issues/46432",
    )


@pytest.mark.parametrize(
    ("version", "since", "until", "inside"),
    [
        ("1.20.0", "1.20.0", "", True),
        ("1.20.0-rc.1", "1.20.0", "", True),
        ("v1.19.6", "1.20.0", "", False),
        ("1.9.0", "1.18.0", "", False),
        ("1.21.0-pre.0", "", "1.21.0", False),
        ("1.20.9", "", "1.21.0", True),
        ("1.20", "1.20.0", "", True),
    ],
)
def test_versions_are_compared_by_number(version: str, since: str, until: str, inside: bool) -> None:
    assert is_in(version, since, until) == inside


def test_what_is_no_version() -> None:
    with pytest.raises(ValueError, match="'newest' is not a Cilium version"):
        is_in("newest", "1.20.0")


@pytest.mark.parametrize(
    ("factory", "version", "said"),
    [
        (ztunnel, "1.18.12", "cilium-ztunnel needs Cilium 1.19.0 or newer, not 1.18.12"),
        (spire, "1.21.0", "cilium-spire needs Cilium 1.18.0 or newer and before 1.21.0, not 1.21.0"),
        (ipsec, "1.17.9", "cilium-ipsec needs Cilium 1.18.0 or newer, not 1.17.9"),
        (wireguard, "latest", "'latest' is not a Cilium version"),
    ],
)
def test_a_version_without_the_variant(factory: object, version: str, said: str, judged: Judged) -> None:
    mesh = judged(factory)  # type: ignore[arg-type]
    with pytest.raises(MeshUnavailable, match=said):
        mesh._judged_as(version)


FAMILIES = ("mtls", "identity", "timeout", "retry", "rotation", "network")


def test_all_that_is_documented_has_a_source() -> None:
    default = Documented(mtls=MtlsPromises(plaintext_refused_as=frozenset(), peer_refused_as=frozenset()))
    families = [(DOCUMENTED, default), *((vars(DOCUMENTED)[name], vars(default)[name]) for name in FAMILIES)]
    for promised, usual in families:
        changed = {name for name, value in vars(promised).items() if value != vars(usual)[name]}
        assert changed - {"sources", *FAMILIES} <= set(promised.sources)


@by_variant
def test_each_is_registered_under_its_name(variant: Variant, judged: Judged) -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    points = project["project"]["entry-points"][ENTRY_POINTS]
    factory = EntryPoint(variant.name, points[variant.name], ENTRY_POINTS).load()
    assert judged(factory).variant is variant
