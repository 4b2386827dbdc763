"""Hazards in who reaches a port."""

from pytest_meshcheck.suite import (
    SHOULD,
    MeshUnderTest,
    Setting,
    Trial,
    check,
    expect,
    one_way_access,
    plaintext_beside,
)


@check(SHOULD, "own.every-way")
async def test_name_and_address_agree(mesh: MeshUnderTest, trial: Trial, destination: str) -> None:
    """A caller that is refused by the name of a service is not served by the addresses of the pods behind it.

    The host in a request is what its caller writes there, so that a policy about hosts stops nobody. A caller outside
    of the mesh, which sends the same on both ways, must not be served by name alone either. For callers of the mesh
    that is common: data planes know services by their names.
    """
    here, _ = await trial.effects_around(destination)
    mesh.recall(here)
    hazard = one_way_access(here.access, trial.settings(destination, Setting.HOST))
    expect(hazard, f"access to {destination}").absent("the same by name and by address")


@check(SHOULD, "own.plaintext-alike")
async def test_plaintext_is_refused_alike(mesh: MeshUnderTest, trial: Trial, destination: str) -> None:
    """A port refuses plaintext if another workload of its namespace does.

    One workload that is left permissive, as for a migration, is an open door beside locked ones. It is only about a
    namespace in which another workload refuses a caller outside of the mesh, and serves callers of the mesh.
    """
    here, around = await trial.effects_around(destination)
    mesh.recall(here)
    settings = trial.settings(destination, Setting.TLS) or trial.settings_around(destination, Setting.TLS)
    hazard = plaintext_beside(here.access, around, mesh.refusals.plaintext, settings)
    expect(hazard, f"plaintext to {destination}").absent("the same as in the rest of its namespace")
