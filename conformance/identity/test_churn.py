"""Workloads that come and go."""

import asyncio

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Attempt,
    Capability,
    MeshUnderTest,
    Port,
    Protocol,
    Workload,
    WorkloadSpec,
    check,
    control,
    expect,
    slow,
)

LIVES = (4, pytest.param(100, marks=slow))
AT_ONCE = 2
"""Workloads that live at the same time."""
PORTS = (Port("http", Protocol.HTTP1),)


async def short_life(mesh: MeshUnderTest, server: Workload, name: str) -> tuple[str, tuple[Attempt, ...]]:
    """A workload that makes one request and goes: its identity, and what the server saw of the request."""
    async with mesh.deploy(WorkloadSpec("blue", name, ports=PORTS)) as deployed:
        served = control(await deployed.service.get(server), f"a request of {name}").answered()
        return mesh.identity_of(deployed.service), await server.attempts(served)


@pytest.mark.parametrize("lives", LIVES)
@check(MUST, "identity.churn", uses={Capability.PEER_IDENTITY})
async def test_right_identity_under_churn(mesh: MeshUnderTest, server: Workload, lives: int) -> None:
    """Each of many short-lived workloads is seen under its own identity as soon as it is ready.

    Some live at the same time; the later ones may be given the addresses of earlier ones.
    """
    for first in range(0, lives, AT_ONCE):
        names = [f"short-life-{number}" for number in range(first, min(first + AT_ONCE, lives))]
        for identity, attempts in await asyncio.gather(*(short_life(mesh, server, name) for name in names)):
            (attempt,) = control(attempts).attempted(1)
            expect(mesh.peer_identity(attempt), f"the identity of {identity}").equals(identity)
