"""Confidentiality of a workload that is terminating."""

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    MeshUnderTest,
    Port,
    Protocol,
    Workload,
    WorkloadSpec,
    check,
    expect,
)

from .canaries import PLACES, are_found, send_canaries

LEAVING = WorkloadSpec("blue", "leaving", ports=(Port("http", Protocol.HTTP1),), grace=10.0)


@check(MUST, "mtls.confidentiality", proves={Capability.CONFIDENTIALITY})
async def test_unreadable_while_terminating(
    mesh: MeshUnderTest, server: Workload, outsider: Workload, plain_server: Workload
) -> None:
    """Nothing can be read on the network of what a workload sends in its termination grace period.

    It has been asked to end and goes on sending, over HTTP, gRPC and TCP, while its data plane drains and no request is
    routed to it any more. A canary stands in each part of the requests and of the answers.
    """
    for port in PLACES:
        await are_found(mesh, outsider, plain_server, port)
    async with mesh.deploy(LEAVING) as deployed, mesh.termination(deployed.service):
        for port in PLACES:
            async with mesh.wire(deployed.service, server, port) as wire:
                canaries = await send_canaries(deployed.service, server, port)
                expect(await wire.look_for(*canaries), port).unreadable()
