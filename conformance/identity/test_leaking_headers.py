"""Headers of the mesh in requests and answers that leave it."""

import pytest

from pytest_meshcheck.suite import (
    SHOULD,
    Capability,
    MeshUnderTest,
    Mode,
    MutualTls,
    Workload,
    check,
    control,
    expect,
)

PORTS = ("http", "grpc")

OF_MESHES = ("x-forwarded-client-cert", "x-envoy-", "x-istio-", "l5d-")
"""Prefixes of the headers in which data planes describe peers and requests."""


def leaked(mesh: MeshUnderTest, headers: tuple[tuple[str, str], ...]) -> list[str]:
    """The mesh's own headers, except for the documented ones, that leave the mesh."""
    names = {name.lower() for name, _ in headers}
    return sorted({name for name in names if name.startswith(OF_MESHES)} - mesh.documented.identity.sent_outside)


async def is_identified(mesh: MeshUnderTest, client: Workload, server: Workload, port: str) -> None:
    """Control: within the mesh, a data plane names the caller."""
    served = control(await client.get(server, port)).answered()
    (attempt,) = control(await server.attempts(served)).attempted(1)
    control(mesh.peer_identity(attempt), "the caller's identity within the mesh").equals(mesh.identity_of(client))


@pytest.mark.parametrize("port", PORTS)
@check(SHOULD, "identity.leaking-headers", uses={Capability.MTLS, Capability.PEER_IDENTITY})
async def test_mesh_headers_do_not_leak(
    mesh: MeshUnderTest, client: Workload, server: Workload, plain_server: Workload, port: str
) -> None:
    """A request of an enrolled client to a server outside of the mesh bears no header of the mesh.

    Such headers disclose identities and the inner workings of the mesh. Within the mesh they are present.
    """
    await is_identified(mesh, client, server, port)
    served = control(await client.get(plain_server, port)).answered()
    (attempt,) = control(await plain_server.attempts(served)).attempted(1)
    expect(leaked(mesh, attempt.headers), "headers of the mesh at a server outside").equals([])


@pytest.mark.parametrize("port", PORTS)
@check(
    SHOULD,
    "identity.leaking-headers",
    uses={Capability.MTLS, Capability.PEER_IDENTITY, Capability.PERMISSIVE_MTLS},
)
async def test_mesh_headers_do_not_leak_in_answers(
    mesh: MeshUnderTest, client: Workload, server: Workload, outsider: Workload, port: str
) -> None:
    """An answer of an enrolled server to a client outside of the mesh bears no header of the mesh."""
    async with mesh.policy(MutualTls(server, Mode.PERMISSIVE)):
        await is_identified(mesh, client, server, port)
        served = control(await outsider.get(server, port)).answered()
    expect(leaked(mesh, served.headers + served.trailers), "headers of the mesh in an answer").equals([])
