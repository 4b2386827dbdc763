"""The access matrix under the configuration of a user's manifests."""

from pytest_meshcheck.suite import MAY, MeshUnderTest, Trial, check, control


@check(MAY, "own.access")
async def test_access(mesh: MeshUnderTest, trial: Trial, destination: str) -> None:
    """Who reaches this port of a service: every workload, a stranger in the mesh, and an outsider in plaintext.

    It records an observation, and never fails: what is right is for the owner of the manifests to say. Each caller
    calls the name of the service, and the address of each pod behind it. The ledger of the stand-ins decides whether a
    request arrived. If a stand-in does not answer itself, nothing is known.
    """
    for name, exchange in await trial.answers_itself(destination):
        control(exchange, f"{name} to itself").answered()
    mesh.record_access(await trial.access(destination))
