"""What can be read between the data planes."""

import pytest

from pytest_meshcheck.suite import MUST, Capability, MeshUnderTest, Workload, check, expect

from .canaries import PLACES, are_found, send_canaries


@pytest.mark.parametrize("port", PLACES)
@check(MUST, "mtls.confidentiality", proves={Capability.CONFIDENTIALITY})
async def test_request_is_unreadable_on_the_wire(
    mesh: MeshUnderTest, client: Workload, server: Workload, outsider: Workload, plain_server: Workload, port: str
) -> None:
    """Nothing that enrolled workloads send each other can be read on the network between them.

    A random canary stands in the request line, a header and the body of the request, and in a header, the body and a
    trailer of the answer. The same recording between two workloads outside of the mesh finds every one of them.
    """
    await are_found(mesh, outsider, plain_server, port)
    async with mesh.wire(client, server, port) as wire:
        canaries = await send_canaries(client, server, port)
        expect(await wire.look_for(*canaries)).unreadable()
