"""Upgrades of the mesh under load; only with ``--mesh-upgrade-to``."""

from collections.abc import Mapping
from itertools import product

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    DataPlaneVersion,
    Inconclusive,
    LoadOutcome,
    MeshUnderTest,
    Upgraded,
    Workload,
    check,
    control,
    expect,
)

ENOUGH = 20
"""The least number of requests during each part of an upgrade."""

PEER_IDENTITY = Capability.PEER_IDENTITY
PORTS = ("http", "grpc", "tcp")
STATES_CALLERS = ("http", "grpc")
"""The ports on which a mesh can state the caller's identity to the server."""


def lost_nothing(mesh: MeshUnderTest, client: Workload, upgraded: Upgraded, loads: Mapping[str, LoadOutcome]) -> None:
    """A violation where a request of these loads was lost, failed or doubled; records how many there were."""
    if mesh.claims(Capability.PEER_IDENTITY):
        control(upgraded.caller, "who calls the server afterwards").equals(mesh.identity_of(client))
    for port, load in loads.items():
        mesh.measure(f"{port}: requests", load.sent)
        mesh.measure(f"{port}: slowest (s)", round(load.latency.max, 3))
    for port, load in loads.items():
        expect(load, port).lost_nothing(ENOUGH, mesh.tolerance)


@check(MUST, "lifecycle.control-plane-upgrade", proves={Capability.UPGRADE})
async def test_control_plane_upgrade_loses_nothing(mesh: MeshUnderTest, client: Workload, upgraded: Upgraded) -> None:
    """While the control plane alone is upgraded, no request is lost, failed or doubled.

    The fate of a TCP stream that is open meanwhile is recorded.
    """
    mesh.measure("upgraded", str(upgraded.by))
    mesh.measure("open TCP stream after it", str(upgraded.stream.ending))
    lost_nothing(mesh, client, upgraded, upgraded.control_plane)


@check(MUST, "lifecycle.data-plane-upgrade", proves={Capability.UPGRADE})
async def test_data_plane_upgrade_loses_nothing(mesh: MeshUnderTest, client: Workload, upgraded: Upgraded) -> None:
    """While data planes follow an upgraded control plane, no request is lost, failed or doubled."""
    mesh.measure("upgrade took (s)", round(upgraded.seconds, 3))
    lost_nothing(mesh, client, upgraded, upgraded.data_planes)


@check(MUST, "lifecycle.enforcement", proves={Capability.STRICT_MTLS}, uses={Capability.UPGRADE})
async def test_upgrade_never_lets_plaintext_in(mesh: MeshUnderTest, upgraded: Upgraded) -> None:
    """While the mesh is upgraded, a server under strict mutual TLS refuses plaintext throughout."""
    if (intrusion := upgraded.intrusion) is None:
        raise Inconclusive("no outsider has tried")
    mesh.measure("requests in plaintext", intrusion.sent)
    control(intrusion).sent_at_least(ENOUGH)
    expect(intrusion, "plaintext to a server under strict mutual TLS").refused()


def works_in_all_pairings(mesh: MeshUnderTest, upgraded: Upgraded, port: str) -> None:
    """A control: before the upgrade calls are served by way of the mesh, later data planes meet in all pairings."""
    calls, before = upgraded.calls(port), upgraded.decisions[0].step
    control({call.pairing for call in calls}, "pairings of data planes").equals(
        set(product(DataPlaneVersion, repeat=2))
    )
    for call in (call for call in calls if call.step == before):
        control(call.exchange, str(call)).answered()
    for call in (call for call in upgraded.calls("http") if call.step == before and mesh.claims(PEER_IDENTITY)):
        control(call.stated, f"caller, {call}").equals(call.caller)


@pytest.mark.parametrize("port", PORTS)
@check(MUST, "lifecycle.version-skew", proves={Capability.UPGRADE})
async def test_version_skew(mesh: MeshUnderTest, upgraded: Upgraded, port: str) -> None:
    """At each step of an upgrade, old and new data planes serve calls of each other, and state who calls.

    Over HTTP/1.1 also answers without a body, and one that follows an informational one. If the mesh can return to its
    former version, the steps of that return are steps as well. A violation names the first step, and the pairing of
    data planes, that differ.
    """
    works_in_all_pairings(mesh, upgraded, port)
    mesh.measure("steps", "; ".join(dict.fromkeys(call.step for call in upgraded.decisions)))
    for call in upgraded.calls(port):
        expect(call.exchange, str(call)).answered()
        if port in STATES_CALLERS and mesh.claims(PEER_IDENTITY):
            expect(call.stated, f"caller, {call}").equals(call.caller)
        for one in call.unusual:
            expect(one.exchange, f"{one.description}, {call}").answered(one.status)


@pytest.mark.parametrize("port", PORTS)
@check(MUST, "lifecycle.version-skew", proves={Capability.STRICT_MTLS}, uses={Capability.UPGRADE})
async def test_version_skew_lets_no_plaintext_in(mesh: MeshUnderTest, upgraded: Upgraded, port: str) -> None:
    """At each step of an upgrade, old and new servers under strict mutual TLS refuse plaintext.

    If the mesh can return to its former version, the steps of that return are steps as well.
    """
    works_in_all_pairings(mesh, upgraded, port)
    for call in upgraded.intrusions(port):
        expect(call.exchange, str(call)).refused(mesh.refusals.plaintext, arrived=call.arrived)
