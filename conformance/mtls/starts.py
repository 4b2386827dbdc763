"""Workloads that an outsider calls while they start."""

from typing import Any

from pytest_meshcheck.suite import (
    LoadOutcome,
    MeshUnderTest,
    NotStarted,
    Port,
    Protocol,
    Workload,
    WorkloadSpec,
    control,
    converge,
)

RATE = 200
"""Requests per second from the moment when the workload has an address."""
LEAST = 5
"""Requests that have to be sent meanwhile."""
LATE = WorkloadSpec("blue", "late", ports=(Port("http", Protocol.HTTP1),), calls=False)


async def called_from_its_start(
    mesh: MeshUnderTest,
    outsider: Workload,
    client: Workload,
    *,
    within: float = 0.0,
    rate: float = RATE,
    **request: Any,
) -> LoadOutcome:
    """Start a workload, and have an outsider call it in plaintext all the while, until an admitted client is served.

    Then for ``within`` more seconds, or until a request of the outsider has reached the application. Where the workload
    does not count as started, because no member reaches it for instance, only calls that it served show anything.
    """
    try:
        async with mesh.deploy_called(LATE, outsider, rate, **request) as (late, load):
            control(await client.get(late), "an admitted client").answered()
            await converge(lambda: late.attempts_of(load), bool, within)
    except NotStarted as why:
        if why.calls is None or not why.calls.answered:
            raise
        return why.calls
    return control(load.result, "plaintext to a workload that starts").sent_at_least(LEAST)
