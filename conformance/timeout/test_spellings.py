"""The ways to write a limit: each that a mesh documents acts."""

from pytest_meshcheck.suite import (
    MUST,
    Answer,
    Capability,
    Documented,
    FieldTimeout,
    MeshUnderTest,
    Workload,
    check,
    control,
    expect,
    needs,
)

LIMIT = 0.2
LATE = 0.3
"""Seconds after which an answer comes that is too late for the limit."""


def written_in_one_way(documented: Documented) -> str:
    """Why there is no second way to write a limit, if the mesh documents none."""
    return "" if documented.timeout.in_field else "no other way to write a limit is documented"


@needs(written_in_one_way)
@check(MUST, "timeout.spellings", proves={Capability.TIMEOUT})
async def test_each_api_spelling_acts(mesh: MeshUnderTest, client: Workload, server: Workload) -> None:
    """A limit also acts where it is written in the field of an HTTPRoute, not in the mesh's own way."""
    late = Answer(delay=LATE)
    control(await client.get(server, request_id=await server.answers(late)), "without a limit").answered()
    async with mesh.policy(FieldTimeout(server, LIMIT)):
        control(await client.get(server), "within the limit").answered()
        cut = await client.get(server, request_id=await server.answers(late))
    expect(cut).answered(mesh.documented.timeout.status)
