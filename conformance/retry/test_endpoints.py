"""The endpoint that a retry goes to."""

from collections.abc import Awaitable, Mapping, Sequence

from pytest_meshcheck.suite import (
    SHOULD,
    Attempt,
    Capability,
    Documented,
    MeshUnderTest,
    Port,
    Protocol,
    Retry,
    WorkloadSpec,
    check,
    control,
    expect,
    needs,
)

PAIR = WorkloadSpec("blue", "pair", ports=(Port("http", Protocol.HTTP1),), calls=False)
REQUESTS = 24
"""One after the other, so that no endpoint has more of them under way than the other when a retry is made."""
BY_CHANCE = REQUESTS // 4
"""Retries at the endpoint that had failed: Envoy, for one, gives up its search for another one after a few draws.

A data plane that does not search at all makes twice as many.
"""

Seen = Mapping[str, Sequence[Attempt]]
"""The attempts of one request, by endpoint."""


async def retries_at_a_pair(mesh: MeshUnderTest) -> list[Seen]:
    """Requests to a service of two endpoints, each of which fails the first attempt that it gets."""
    client = await mesh.workload("client")
    async with mesh.deploy(PAIR, replicas=2) as pair:
        async with mesh.policy(Retry(pair.service, 1, statuses={503})):
            ids = [await pair.answers(503) for _ in range(REQUESTS)]
            for one in ids:
                await client.get(pair.service, request_id=one)
        return [await pair.attempts(one) for one in ids]


def avoids_failed_endpoints(documented: Documented) -> str:
    """Why a retry may go to the endpoint that has failed; empty where that is documented to be avoided."""
    return "" if documented.retry.elsewhere else "where a retry goes is not documented"


@needs(avoids_failed_endpoints)
@check(SHOULD, "retry.elsewhere", uses={Capability.RETRY}, head_start=retries_at_a_pair)
async def test_goes_to_another_endpoint(head_start: Awaitable[list[Seen]], mesh: MeshUnderTest) -> None:
    """Retries go to another endpoint of the service than the one that has just failed, but for a few by chance."""
    seen = await head_start
    for attempts in seen:
        control(sum(map(len, attempts.values())), "attempts of a request").equals(2)
    reached = {endpoint for attempts in seen for endpoint, made in attempts.items() if made}
    control(len(reached), "endpoints that requests have reached").equals(2)
    twice = sum(max(map(len, attempts.values())) == 2 for attempts in seen)
    mesh.measure(f"retries, of {REQUESTS}, at the endpoint that had failed", twice)
    expect(twice, f"retries, of {REQUESTS}, at the endpoint that had failed").at_most(BY_CHANCE)
