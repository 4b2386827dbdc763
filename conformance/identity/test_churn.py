"""Workloads that come and go."""

import asyncio

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Attempt,
    Capability,
    FirstCall,
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
    """A workload that sends one request on start-up and one when ready: its identity, and the attempts of both.

    Where an application may start before its data plane, its first request need not arrive, or bear an identity.
    """
    waits = mesh.documented.lifecycle.application_waits
    first_call = FirstCall(server.spec) if waits else None
    async with mesh.deploy(WorkloadSpec("blue", name, ports=PORTS, first_call=first_call)) as deployed:
        served = control(await deployed.service.get(server), f"a request of {name}").answered()
        attempts = control(await server.attempts(served)).attempted(1)
        if waits:
            attempts += await server.attempts(await deployed.service.first_exchange())
        return mesh.identity_of(deployed.service), attempts


@pytest.mark.parametrize("lives", LIVES)
@check(MUST, "identity.churn", uses={Capability.PEER_IDENTITY})
async def test_right_identity_under_churn(mesh: MeshUnderTest, server: Workload, lives: int) -> None:
    """Each of many short-lived workloads is seen under its own identity, from its very first request.

    Some live at the same time; the later ones may be given the addresses of earlier ones.
    """
    for first in range(0, lives, AT_ONCE):
        names = [f"short-life-{number}" for number in range(first, min(first + AT_ONCE, lives))]
        for identity, attempts in await asyncio.gather(*(short_life(mesh, server, name) for name in names)):
            for attempt in attempts:
                expect(mesh.peer_identity(attempt), f"the identity of {identity}").equals(identity)
