"""Restarts of nodes, after which their workloads are still in the mesh."""

import asyncio
import itertools

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    Exchange,
    MeshUnderTest,
    Mode,
    MutualTls,
    Placement,
    Via,
    Workload,
    WorkloadSpec,
    check,
    control,
    converge,
    expect,
    kept_out,
    more_sent,
)

from ..node_restarts import BACK_WITHIN, restart_under_load
from .starts import LEAST

PORTS = ("http", "grpc", "tcp")
WAYS = tuple(itertools.product(PORTS, Via))
RATE = 50
"""Requests per second while the node restarts."""
EVERY = 0.1
"""Seconds between two calls of a member until one is served."""
PATIENCE = 2.0
"""Seconds of one of them: a node that is away answers nothing."""


@check(
    MUST,
    "mtls.node-restart",
    proves={Capability.STRICT_MTLS},
    uses={Capability.KUBERNETES},
    restarts_node=True,
)
async def test_no_plaintext_after_node_restart(mesh: MeshUnderTest, outsider: Workload) -> None:
    """No plaintext reaches a strict server while its node restarts, not even just after its containers have started.

    Afterwards it is refused on each port, by service and address.
    """
    await mesh.disruptions.insist_on_node_restarts()
    beside, elsewhere = (Placement(outsider.spec, same_node=same) for same in (True, False))
    async with (
        mesh.deploy_together(
            WorkloadSpec("blue", "restarted", placement=elsewhere), WorkloadSpec("blue", "caller", placement=beside)
        ) as (before, caller),
        mesh.policy(MutualTls(before, Mode.STRICT)),
    ):
        control(await caller.get(before), "before the restart").answered()
        plaintext = outsider.load(before, RATE, patience=PATIENCE * mesh.scale)
        async with kept_out(plaintext, "plaintext to a strict server") as intrusion:
            server = await restart_under_load(mesh, before, intrusion)

            async def call() -> Exchange:
                return await caller.get(server)

            back, _ = await converge(call, lambda seen: seen.served, BACK_WITHIN * mesh.scale, every=EVERY)
            await more_sent(intrusion, number=LEAST, within=mesh.tolerance)
        control(back, "after the restart").answered()
        seen = await asyncio.gather(*(outsider.get(server, port, via) for port, via in WAYS))
        for (port, via), exchange in zip(WAYS, seen, strict=True):
            arrived = await server.attempts(exchange)
            expect(exchange, f"plaintext to port {port} by {via}").refused(mesh.refusals.plaintext, arrived=arrived)
