"""Another version of the mesh while requests go through it; with ``--mesh-upgrade-to`` alone."""

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    Inconclusive,
    MeshUnderTest,
    Upgraded,
    Workload,
    check,
    control,
    expect,
)

ENOUGH = 20
"""Requests at least that an upgrade has to have met."""


@check(MUST, "upgrade.hitless", proves={Capability.UPGRADE})
async def test_loses_nothing(mesh: MeshUnderTest, client: Workload, upgraded: Upgraded) -> None:
    """While the mesh is moved to another version, no request over HTTP or gRPC is lost, failed or doubled.

    The fate of a stream over TCP that stays open meanwhile is reported, and not judged: it ends with the process that
    carries it, and that one has to be replaced.
    """
    mesh.measure("upgraded", str(upgraded.by))
    mesh.measure("upgrade took (s)", round(upgraded.seconds, 3))
    mesh.measure("open TCP stream after it", str(upgraded.stream.ending))
    if mesh.claims(Capability.PEER_IDENTITY):
        control(upgraded.caller, "who calls the server afterwards").equals(mesh.identity_of(client))
    for port, load in upgraded.loads.items():
        mesh.measure(f"{port}: requests", load.sent)
        mesh.measure(f"{port}: slowest (s)", round(load.latency.max, 3))
    for port, load in upgraded.loads.items():
        expect(load, port).lost_nothing(ENOUGH, mesh.tolerance)


@check(MUST, "upgrade.enforcement", proves={Capability.STRICT_MTLS}, uses={Capability.UPGRADE})
async def test_never_lets_plaintext_in(mesh: MeshUnderTest, upgraded: Upgraded) -> None:
    """While the mesh is moved to another version, a server under strict mutual TLS refuses plaintext all the time."""
    if (intrusion := upgraded.intrusion) is None:
        raise Inconclusive("no outsider has tried")
    mesh.measure("requests in plaintext", intrusion.sent)
    control(intrusion).sent_at_least(ENOUGH)
    expect(intrusion, "plaintext to a server under strict mutual TLS").refused()
