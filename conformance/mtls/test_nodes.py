"""Plaintext of processes that are in no pod."""

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    MeshUnderTest,
    Mode,
    MutualTls,
    Placement,
    Workload,
    WorkloadSpec,
    check,
    control,
    expect,
    host_of,
)

from ..calls import calls, made

PORTS = ("http", "grpc", "tcp")


@check(MUST, "mtls.strict", proves={Capability.STRICT_MTLS}, uses={Capability.KUBERNETES})
async def test_plaintext_from_nodes_is_refused(mesh: MeshUnderTest, server: Workload) -> None:
    """A strict workload refuses plaintext of a process in the network of another node, on each port.

    Whether one on the workload's own node is served is recorded: the kubelet's probes come from there.
    """
    elsewhere = WorkloadSpec("blue", "elsewhere", placement=Placement(server.spec, same_node=False))
    async with mesh.deploy(elsewhere) as there, host_of(mesh, there.service) as other, host_of(mesh, server) as own:
        of_other, of_own = (calls((node,), (server,), *PORTS) for node in (other, own))
        async with mesh.policy(MutualTls(server, Mode.PERMISSIVE)):
            for call, seen in (await made(mesh, (*of_other, *of_own))).items():
                control(seen, f"{call} under permissive mutual TLS").answered()
        async with mesh.policy(MutualTls(server, Mode.STRICT)):
            for call, seen in (await made(mesh, of_other)).items():
                expect(seen, str(call)).refused(mesh.refusals.plaintext, arrived=await server.attempts(seen))
            seen_of_own = await made(mesh, of_own)
    served = sum(exchange.served for exchange in seen_of_own.values())
    mesh.measure("calls served from its own node", f"{served} of {len(of_own)}")
