"""Who reaches whom, by enrolment and by mode of mutual TLS."""

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    MeshUnderTest,
    Mode,
    MutualTls,
    Namespace,
    Via,
    Workload,
    check,
    control,
    expect,
)

from .plaintext import is_handled

PORTS = ("http", "grpc", "tcp", "tcp-banner")


@pytest.mark.parametrize("via", Via)
@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("mode", Mode, ids=str)
@check(MUST, "mtls.reachability", proves={Capability.MTLS}, uses={Capability.STRICT_MTLS, Capability.PERMISSIVE_MTLS})
async def test_enrolment_matrix(
    mesh: MeshUnderTest,
    client: Workload,
    server: Workload,
    outsider: Workload,
    plain_server: Workload,
    mode: Mode,
    port: str,
    via: Via,
) -> None:
    """Who reaches whom depends on enrolment and mode as documented, for every protocol.

    Enrolled clients reach enrolled servers in both modes, and servers outside of the mesh, by their service and by
    their own address, as clients that choose the endpoint themselves call them. Clients outside reach
    enrolled servers under permissive mutual TLS only; on ports where the server speaks first, they send their first
    bytes without waiting. The mode is set for the namespace of the enrolled workloads, so it applies to the client too.
    """
    mesh.insist_on_tls(port, via)
    await mesh.shown_chain(outsider, server)
    control(await outsider.get(plain_server, port), "an outsider to a server outside").answered()
    async with mesh.policy(MutualTls(Namespace(server.namespace), mode)):
        await is_handled(mesh, outsider, server, port, mode, "an outsider to an enrolled server", via)
        for callee, what in ((server, "an enrolled server"), (plain_server, "a server outside")):
            seen = expect(await client.get(callee, port, via), f"an enrolled client to {what}").answered()
            expect(await callee.attempts(seen), f"an enrolled client to {what}").attempted(1)
