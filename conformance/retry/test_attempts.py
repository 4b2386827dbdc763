"""How often a failed request is tried, counted in the server's ledger."""

import hashlib

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Answer,
    Body,
    Capability,
    MeshUnderTest,
    Retry,
    Unsupported,
    Workload,
    check,
    control,
    expect,
    octets,
)

BOUNDARY = [(limit, failures) for limit in (1, 2, 3) for failures in range(limit + 2)]
"""(retries allowed, failures in a row): below the limit, at it, and one above."""

STATUSES = (408, 409, 425, 429, 500, 501, 502, 503, 504)
NEVER_LISTED = 418

SIZES = (0, 1, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 1024 * 1024)
WAYS = {
    # id: how the body is sent
    "sized": {},
    "chunked": {"chunked": True},
    "late": {"body_delay": 0.05},
}


@pytest.mark.parametrize(("limit", "failures"), BOUNDARY)
@check(MUST, "retry.limit", proves={Capability.RETRY})
async def test_attempts_are_limit_plus_one(
    mesh: MeshUnderTest, server: Workload, client: Workload, limit: int, failures: int
) -> None:
    """With n retries allowed, a request is tried at most n + 1 times, and no more often than it fails.

    The server fails 0 to n + 1 times in a row; its ledger has the exact number of attempts, the boundary included.

    > Attempts specifies the maximum number of times an individual request from the gateway to a backend should be
    > retried.
    """
    control(await client.get(server)).answered()
    async with mesh.policy(Retry(server, limit, statuses=frozenset({503}))):
        once_failed = await client.get(server, request_id=await server.answers(503))
        expect(await server.saw(once_failed), "one failure").count(2)
        request_id = await server.answers(*[503] * failures)
        answer = await client.get(server, request_id=request_id)
        expect(await server.saw(answer)).count(min(failures, limit) + 1)
        expect(answer).answered(200 if failures <= limit else 503)


@check(MUST, "retry.exhausted", uses={Capability.RETRY})
async def test_exhausted_returns_the_last_answer(mesh: MeshUnderTest, server: Workload, client: Workload) -> None:
    """After the last attempt the client gets that attempt's status and body, or the error that the mesh documents."""
    last = Body(text="the third and last answer\n")
    answers = (Answer(status=502), Answer(status=503), Answer(status=502, body=last))
    control(await client.get(server, request_id=await server.answers(answers[2]))).answered(502)
    async with mesh.policy(Retry(server, 2, statuses=frozenset({502, 503}))):
        answer = await client.get(server, request_id=await server.answers(*answers))
    expect(await server.saw(answer)).count(3)
    if mesh.documented.retry.exhausted_statuses:
        expect(answer).answered(mesh.documented.retry.exhausted_statuses)
    else:
        expect(answer).answered(502)
        expect(answer).body(len(last.text), hashlib.sha256(last.text.encode()).hexdigest())


@pytest.mark.parametrize("status", STATUSES)
@check(MUST, "retry.conditions", proves={Capability.RETRY})
async def test_only_listed_conditions(mesh: MeshUnderTest, server: Workload, client: Workload, status: int) -> None:
    """A status that is listed is retried; the same status, not listed, is tried once."""
    if status not in mesh.documented.retry.statuses:
        raise Unsupported(f"status {status} cannot be listed for retries")
    async with mesh.policy(Retry(server, 1, statuses=frozenset({status}))):
        listed = await client.get(server, request_id=await server.answers(status))
        expect(await server.saw(listed), f"{status}, listed").count(2)
        expect(listed).answered()
    unlisted = frozenset(STATUSES) - {status} & frozenset(mesh.documented.retry.statuses)
    async with mesh.policy(Retry(server, 1, statuses=unlisted)):
        answer = await client.get(server, request_id=await server.answers(status))
        expect(await server.saw(answer), f"{status}, not listed").count(1)
        expect(answer).answered(status)


@pytest.mark.parametrize("size", SIZES)
@check(MUST, "retry.body", uses={Capability.RETRY})
async def test_request_body_is_intact_on_every_attempt(
    mesh: MeshUnderTest, server: Workload, client: Workload, size: int
) -> None:
    """On every attempt the application receives the whole body as it was sent: same length, same SHA-256.

    Sizes around the usual buffer limits; with a length, in chunks, and with a body that comes after the head.
    """
    limit = mesh.documented.retry.body_limit
    if limit is not None and size > limit:
        raise Unsupported(f"bodies above {limit} bytes are not retried")
    body, digest = Body(length=size, seed=7), hashlib.sha256(octets(7, size)).hexdigest()
    for how in WAYS.values():
        plain = control(await client.post(server, body, **how)).answered()
        control(await server.saw(plain)).bodies(size, digest)
    async with mesh.policy(Retry(server, 1, statuses=frozenset({503}))):
        for way, how in WAYS.items():
            answer = await client.post(server, body, request_id=await server.answers(503), **how)
            attempts = await server.saw(answer)
            expect(attempts, way).bodies(size, digest)
            expect(attempts, way).count(2)
            expect(answer, way).answered()
