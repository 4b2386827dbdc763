"""What can be read between the data planes."""

import pytest

from pytest_meshcheck.suite import MUST, Capability, MeshUnderTest, Via, Workload, check, expect

from .canaries import PLACES, are_found, send_canaries


@pytest.mark.parametrize("via", Via)
@pytest.mark.parametrize("port", PLACES)
@check(MUST, "mtls.confidentiality", proves={Capability.CONFIDENTIALITY})
async def test_request_is_unreadable_on_the_wire(
    mesh: MeshUnderTest,
    client: Workload,
    server: Workload,
    outsider: Workload,
    plain_server: Workload,
    port: str,
    via: Via,
) -> None:
    """Nothing that enrolled workloads send each other can be read on the network between them.

    A random canary stands in the request line, a header and the body of the request, and in a header, the body and a
    trailer of the answer. The server is called by its service, and by its own address, as clients that choose the
    endpoint themselves call it. The same recording between two workloads outside of the mesh finds every one of them.
    """
    mesh.insist_on_tls(port, via)
    await are_found(mesh, outsider, plain_server, port)
    async with mesh.wire(client, server, port, via) as wire:
        canaries = await send_canaries(client, server, port, via=via)
        expect(await wire.look_for(*canaries)).unreadable()
