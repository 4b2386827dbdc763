"""Resources of the mesh that do nothing, found by taking each of them out."""

from pytest_meshcheck.suite import SHOULD, MeshUnderTest, Mutation, Part, Unsupported, check, expect


@check(SHOULD, "own.acts")
async def test_resource_acts(mesh: MeshUnderTest, mutation: Mutation, resource_part: Part) -> None:
    """Something changes when this resource of the mesh, or this rule of it, is taken out.

    Who is served on every port, by which workload, with which path and headers, is observed, and on the ports that it
    concerns how often requests are attempted that fail with 503, or as its retries say, and when a stall is cut. Then
    it is put back, and the behaviour from before awaited. What makes no difference to any of it does nothing; the
    reason is named where the manifests tell. Where it may act in ways that are not observed, such as limits on
    connections, it is unsupported.
    """
    part = resource_part
    seen = await mutation.without(part)
    mesh.measure("taken out and back in (s)", round(seen.seconds, 1))
    mesh.measure("changes without it", len(seen.changes))
    reason = f": {seen.reason}" if seen.reason else ""
    if seen.changes:
        mesh.measure("for example", seen.changes[0])
    elif seen.unseen:
        raise Unsupported(f"nothing changes without {part} ({part.place}){reason}; but {seen.unseen}")
    expect(seen.changes, f"{part} ({part.place})").require(
        bool(seen.changes), "to change what the mesh does", f"nothing changes without it{reason}"
    )
