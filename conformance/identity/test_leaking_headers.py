"""Headers of the mesh, in what leaves it."""

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
"""How the headers begin by which data planes tell each other, or the application, of peers and requests."""


def leaked(mesh: MeshUnderTest, headers: tuple[tuple[str, str], ...]) -> list[str]:
    """The names of headers of the mesh, without those that it documents to send outside."""
    names = {name.lower() for name, _ in headers}
    return sorted({name for name in names if name.startswith(OF_MESHES)} - mesh.documented.identity.sent_outside)


async def is_identified(mesh: MeshUnderTest, client: Workload, server: Workload, port: str) -> None:
    """Control: within the mesh a data plane tells who is calling."""
    served = control(await client.get(server, port)).answered()
    (attempt,) = control(await server.attempts(served)).attempted(1)
    control(mesh.peer_identity(attempt), "the caller's identity within the mesh").equals(mesh.identity_of(client))


@pytest.mark.parametrize("port", PORTS)
@check(SHOULD, "identity.leaking-headers", uses={Capability.MTLS, Capability.PEER_IDENTITY})
async def test_mesh_headers_do_not_leak(
    mesh: MeshUnderTest, client: Workload, server: Workload, plain_server: Workload, port: str
) -> None:
    """A request of an enrolled client to a server outside of the mesh bears no header of the mesh.

    Such headers tell a stranger of identities and of the mesh's own affairs. Within the mesh they are there.
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
