"""Plaintext of processes that are in no pod."""

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    MeshUnderTest,
    Mode,
    MutualTls,
    Workload,
    check,
    control,
    expect,
)

from ..calls import calls_from_nodes, made, record_own_node

PORTS = ("http", "grpc", "tcp")


@check(MUST, "mtls.strict", proves={Capability.STRICT_MTLS}, uses={Capability.KUBERNETES})
async def test_plaintext_from_nodes_is_refused(mesh: MeshUnderTest, server: Workload) -> None:
    """A strict workload refuses plaintext of a process in the network of another node, on each port.

    Whether one on the workload's own node is served is recorded: the kubelet's probes come from there.
    """
    async with calls_from_nodes(mesh, server, *PORTS) as (of_other, of_own):
        async with mesh.policy(MutualTls(server, Mode.PERMISSIVE)):
            for call, seen in (await made(mesh, (*of_other, *of_own))).items():
                control(seen, f"{call} under permissive mutual TLS").answered()
        async with mesh.policy(MutualTls(server, Mode.STRICT)):
            for call, seen in (await made(mesh, of_other)).items():
                expect(seen, str(call)).refused(mesh.refusals.plaintext, arrived=await server.attempts(seen))
            record_own_node(mesh, await made(mesh, of_own))
