"""What the network does while it is upgraded under load, node by node; only with ``--mesh-upgrade-to``."""

from pytest_meshcheck.suite import (
    MAY,
    MUST,
    Capability,
    Inconclusive,
    MeshUnderTest,
    Upgraded,
    check,
    control,
    expect,
)

ENOUGH = 20
"""The least number of requests during the upgrade."""


@check(MUST, "network.upgrade", proves={Capability.NETWORK_POLICY}, uses={Capability.UPGRADE})
async def test_policy_holds_while_upgraded(mesh: MeshUnderTest, upgraded: Upgraded) -> None:
    """While the mesh is upgraded, a listed caller on another node is served, and an unlisted one gets nowhere."""
    if (listed := upgraded.network.listed) is None or (unlisted := upgraded.network.unlisted) is None:
        raise Inconclusive("nobody has called a server that a network policy selects")
    control(unlisted).sent_at_least(ENOUGH)
    expect(unlisted, "requests of a caller that is not listed").refused()
    expect(listed, "requests of the listed caller").lost_nothing(ENOUGH, mesh.tolerance)


@check(MUST, "network.upgrade", proves={Capability.NODE_ENCRYPTION}, uses={Capability.UPGRADE})
async def test_unreadable_between_nodes_while_upgraded(upgraded: Upgraded) -> None:
    """While the mesh is upgraded, nothing that a client sends to another node can be read on the way.

    Every request of a load has the same random text in a header.
    """
    if (listed := upgraded.network.listed) is None or (captured := upgraded.network.captured) is None:
        raise Inconclusive("the network between the nodes was not captured")
    control(listed).sent_at_least(ENOUGH)
    expect(captured).unreadable()


@check(MAY, "network.routed-upgrade", uses={Capability.NETWORK_POLICY, Capability.UPGRADE, Capability.TIMEOUT})
async def test_routed_requests_while_upgraded_are_recorded(mesh: MeshUnderTest, upgraded: Upgraded) -> None:
    """Records how many requests to a service that has a route fail while the proxies of the nodes are upgraded."""
    if (routed := upgraded.network.routed) is None:
        raise Inconclusive("no request went through a route")
    control(routed).sent_at_least(ENOUGH)
    mesh.measure("requests through a route", routed.sent)
    mesh.measure("of these failed", len(routed.failed))
    mesh.measure("reached a server twice", len(routed.duplicated))
