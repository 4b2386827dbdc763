"""Upgrades of the mesh under load; only with ``--mesh-upgrade-to``."""

from collections.abc import Mapping

from pytest_meshcheck.suite import (
    MUST,
    Capability,
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
