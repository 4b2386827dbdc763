"""An application that calls as soon as it starts."""

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    Documented,
    FirstCall,
    MeshUnderTest,
    Port,
    Protocol,
    Workload,
    WorkloadSpec,
    check,
    control,
    expect,
    needs,
)

HTTP = (Port("http", Protocol.HTTP1),)


def lets_applications_start_first(documented: Documented) -> str:
    """Why nothing is promised to an application that calls as soon as it starts."""
    if documented.lifecycle.application_waits:
        return ""
    return "an application may start before its data plane works"


@needs(lets_applications_start_first)
@check(MUST, "lifecycle.start", uses={Capability.MTLS})
async def test_first_dial_is_served(mesh: MeshUnderTest, server: Workload, client: Workload) -> None:
    """A workload whose application calls a service as the first thing that it does, and once, is answered.

    Where the mesh passes identities, the server is told that of the new workload.
    """
    spec = WorkloadSpec("blue", "early", ports=HTTP, first_call=FirstCall(server.spec))
    async with mesh.deploy(spec) as deployed:
        early = deployed.service
        control(await client.get(server), "another client").answered()
        first = expect(await early.first_exchange(), "the first call").answered()
        (attempt,) = control(await server.attempts(first), "the first call").attempted(1)
        if mesh.claims(Capability.PEER_IDENTITY):
            expect(mesh.peer_identity(attempt), "the caller of the first call").equals(mesh.identity_of(early))
