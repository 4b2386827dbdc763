"""Whether limits act at all, and whether an answer or an attempt that comes late shows that one does not."""

from collections.abc import Awaitable, Callable

from pytest_meshcheck.suite import Answer, Attempt, Exchange, MeshUnderTest, Time, Timeout, Workload, control, expect

SHORT = 0.05
"""Seconds."""

IN_FLIGHT = 0.05
"""Seconds by which an attempt may arrive late that was on its way when the request was cut."""

PENDING = 0.5
"""Seconds after the end of a request within which a retry still in back-off would be sent."""

AGAIN = 8
"""Further requests after one whose late answer got through."""


async def limit_acts(mesh: MeshUnderTest, client: Workload, server: Workload) -> None:
    """Control: the mesh is in the way and cuts at a limit, so that the absence of a cut is significant."""
    async with mesh.policy(Timeout(server, SHORT)):
        cut = await client.get(server, request_id=await server.answers(Answer(delay=SHORT + mesh.tolerance)))
    control(cut, f"under a limit of {SHORT:g} s").answered(mesh.documented.timeout.status)


async def comes_late(ask: Callable[[], Awaitable[Exchange]], late: float) -> tuple[Exchange, Time | None]:
    """A request whose answer comes ``late`` seconds after its limit, and the stall that explains it if it is served.

    A data plane that stands still while a limit ends and the answer comes finds both at once, and may pass the answer
    on. That does not happen each time. Where every further answer is served as well, no stall explains it.
    """
    first = await ask()
    return first, await stall_of(first, ask, late)


async def stall_of(first: Exchange, ask: Callable[[], Awaitable[Exchange]], late: float) -> Time | None:
    """The stall that explains that an answer was served ``late`` seconds after its limit; None where none does."""
    if not first.served or all([(await ask()).served for _ in range(AGAIN)]):
        return None
    return Time(lost=late, during=first.seconds)


def begin_within(mesh: MeshUnderTest, limit: float, attempts: tuple[Attempt, ...]) -> None:
    """Expect the last attempt to arrive no later after the first one than the limit of the request.

    It may have been on its way when the request was cut. The times are by one clock, that of the server.
    """
    arrivals = [attempt.arrived for attempt in attempts]
    spread = max(arrivals) - min(arrivals)
    expect(spread, "seconds from the first attempt's arrival to the last one's", rests_on=mesh.time(limit)).at_most(
        limit + IN_FLIGHT * mesh.scale
    )
