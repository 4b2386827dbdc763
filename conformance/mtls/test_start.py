"""Workloads that an outsider calls while they start."""

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    LoadOutcome,
    MeshUnderTest,
    Mode,
    MutualTls,
    Namespace,
    Port,
    Protocol,
    Workload,
    WorkloadSpec,
    check,
    control,
    converge,
    expect,
    slow,
)

STARTS = (2, pytest.param(30, marks=slow))
RATE = 200
"""Requests per second from the moment when the workload has an address."""
PATIENCE = 10.0
"""Seconds until one of them has reached a permissive workload that serves."""
LEAST = 5
"""Requests that have to be sent meanwhile."""
LATE = WorkloadSpec("blue", "late", ports=(Port("http", Protocol.HTTP1),), calls=False)


async def called_from_its_start(
    mesh: MeshUnderTest, outsider: Workload, client: Workload, *, within: float = 0.0
) -> LoadOutcome:
    """Start a workload, and have an outsider call it in plaintext all the while, until an enrolled client is served.

    Then for ``within`` more seconds, or until a request of the outsider has reached the application.
    """
    async with mesh.deploy_called(LATE, outsider, RATE) as (late, load):
        control(await client.get(late), "an enrolled client").answered()
        await converge(lambda: late.attempts_of(load), bool, within)
    return control(load.result, "plaintext to a workload that starts").sent_at_least(LEAST)


@pytest.mark.parametrize("starts", STARTS)
@check(MUST, "mtls.start", proves={Capability.STRICT_MTLS}, uses={Capability.PERMISSIVE_MTLS})
async def test_no_plaintext_window_at_start(
    mesh: MeshUnderTest, server: Workload, outsider: Workload, client: Workload, starts: int
) -> None:
    """A strict policy that is older than a workload holds from the first connection that the workload accepts.

    An outsider calls the workload in plaintext from the moment when it has an address until an enrolled client
    is served: not one of these requests is answered, or reaches the application. Under permissive mutual TLS some are.
    """
    async with mesh.policy(MutualTls(Namespace(server.namespace), Mode.PERMISSIVE)):
        outcome = await called_from_its_start(mesh, outsider, client, within=PATIENCE * mesh.scale)
        control(outcome.reached, "requests that reach a permissive workload").at_least(1)
    async with mesh.policy(MutualTls(Namespace(server.namespace), Mode.STRICT)):
        for start in range(starts):
            outcome = await called_from_its_start(mesh, outsider, client)
            expect(outcome, f"start {start + 1}").refused()
