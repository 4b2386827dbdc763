"""The ways to write a limit: each that a mesh documents acts."""

from pytest_meshcheck.suite import (
    MUST,
    Answer,
    Capability,
    Documented,
    Exchange,
    FieldTimeout,
    MeshUnderTest,
    Workload,
    check,
    control,
    expect,
    needs,
)

from .limits import comes_late

LIMIT = 0.2
LATE = 0.1
"""Seconds after the limit at which an answer comes."""


def written_in_one_way(documented: Documented) -> str:
    """Why there is no second way to write a limit, if the mesh documents none."""
    return "" if documented.timeout.in_field else "no other way to write a limit is documented"


@needs(written_in_one_way)
@check(MUST, "timeout.spellings", proves={Capability.TIMEOUT})
async def test_each_api_spelling_acts(mesh: MeshUnderTest, client: Workload, server: Workload) -> None:
    """A limit also acts where it is written in the field of an HTTPRoute, not in the mesh's own way."""

    async def ask() -> Exchange:
        return await client.get(server, request_id=await server.answers(Answer(delay=LIMIT + LATE)))

    control(await ask(), "without a limit").answered()
    async with mesh.policy(FieldTimeout(server, LIMIT)):
        control(await client.get(server), "within the limit").answered()
        cut, stall = await comes_late(ask, LATE)
    expect(cut, rests_on=stall).answered(mesh.documented.timeout.status)
