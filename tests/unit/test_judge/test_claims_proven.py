"""Which capabilities the checks of the suite prove, and which merely help them."""

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pytest_meshcheck.checks.catalogue import Check, proves
from pytest_meshcheck.model.capability import Capability
from pytest_meshcheck.options import MeshName
from pytest_meshcheck.report.model import Observed, load
from pytest_meshcheck.run.items import CheckItem

RESULTS = Path(__file__).resolve().parents[3] / "docs" / "results"
SUITE = Path(__file__).resolve().parents[3] / "conformance"

UNPROVEN: Mapping[Capability, str] = {
    # claimed by a mesh, and proven by no check: why; the report says beside the claim that none does
    Capability.PERMISSIVE_SERVER_FIRST: "mtls/permissive-accepts-both asks a silent outsider only where it is claimed",
    Capability.CUSTOM_AUTHORITY: "every check of a hostile peer has a control that fails without it",
    Capability.KUBERNETES: "a fact of the platform, not a behaviour",
}


def checks_of(path: Path) -> Iterator[Check]:
    module = importlib.import_module(f"pytest_meshcheck.conformance.{path.parent.name}.{path.stem}")
    for function in vars(module).values():
        yield from (mark.args[0] for mark in getattr(function, "pytestmark", ()) if mark.name == "mesh_check")


@pytest.fixture(scope="module")
def suite() -> dict[str, Check]:
    return {check.id: check for path in sorted(SUITE.rglob("test_*.py")) for check in checks_of(path)}


def test_what_no_check_proves_is_known(suite: dict[str, Check]) -> None:
    proven = {capability for check in suite.values() for capability in check.proves}
    assert set(Capability) - proven == UNPROVEN.keys()


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_what_a_published_report_claims_is_observed_in_it(path: Path) -> None:
    """But for what no check of its time proves: a claim whose checks are all unsupported is a hole in the suite."""
    report = load(path)
    tried = {capability for result in report.results for capability in result.proven}
    claimed = {row.name for row in report.capabilities if row.claimed and row.observed is Observed.NOT_OBSERVED}
    by_upgrade = {str(Capability.UPGRADE)}  # in a run with --mesh-upgrade-to alone
    assert claimed & tried <= by_upgrade


def test_a_capability_is_proven_or_used_by_a_check_not_both(suite: dict[str, Check]) -> None:
    assert [check.id for check in suite.values() if check.proves & check.uses] == []


@pytest.mark.parametrize(
    ("check", "proven", "used"),
    [
        ("mtls/impostor-server-is-refused", {Capability.SERVER_IDENTITY}, {Capability.CUSTOM_AUTHORITY}),
        ("timeout/zero-disables", set(), {Capability.TIMEOUT}),
        ("identity/claimed-identity-headers-are-not-trusted", {Capability.PEER_IDENTITY}, {Capability.PERMISSIVE_MTLS}),
    ],
)
def test_what_a_check_builds_on_is_not_what_it_proves(
    suite: dict[str, Check], check: str, proven: set[Capability], used: set[Capability]
) -> None:
    assert (suite[check].proves, suite[check].uses) == (proven, used)
    assert suite[check].needs == proven | used


def test_a_parameter_proves_a_part(suite: dict[str, Check]) -> None:
    fires = suite["retry/fires-for-every-spelling-of-failure"]
    assert fires.proves == {Capability.RETRY, Capability.RETRY_GRPC}
    narrowed = proves(Capability.RETRY_GRPC).mark.args[0]
    check_item = CheckItem(fires, fires.id, MeshName("envoy", None), "pytest", narrowed=narrowed)
    assert check_item.proves == {Capability.RETRY_GRPC}
    assert CheckItem(fires, fires.id, MeshName("envoy", None), "pytest").proves == fires.proves
