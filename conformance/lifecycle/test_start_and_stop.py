"""An application that calls as soon as it starts, and one that ends by itself."""

from math import isinf

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


def outlives_jobs(documented: Documented) -> str:
    """Why nothing is promised to a job."""
    return "the data plane of a job goes on" if isinf(documented.lifecycle.job_ends_within) else ""


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


@needs(outlives_jobs)
@check(MUST, "lifecycle.job", uses={Capability.MTLS})
async def test_job_ends(mesh: MeshUnderTest, server: Workload, outsider: Workload) -> None:
    """When the application of a job ends by itself, without an error, its workload ends with it, in documented time.

    A data plane in the workload ends, too, and keeps nothing of it running.
    """
    async with mesh.deploy(WorkloadSpec("blue", "job", ports=HTTP, job=True)) as deployed:
        job = deployed.service
        control(await job.get(server), "a call of the job").answered()
        control(len(await mesh.served_chain(outsider, job)), "certificates that its data plane shows").at_least(1)
        within = mesh.documented.lifecycle.job_ends_within
        expect(await mesh.finish(job), "what goes on after the job", rests_on=mesh.time(within)).equals("")
