"""How often a failed request is tried, counted in the server's ledger."""

import hashlib

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Answer,
    Body,
    Capability,
    Documented,
    MeshUnderTest,
    Protocol,
    Retry,
    Workload,
    check,
    control,
    expect,
    needs,
    seeded_bytes,
)

LIMITS = (1, 2, 3)
BOUNDARY = [(limit, failures) for limit in LIMITS for failures in range(1, limit + 2)]
"""(retries allowed, failures in a row): below the limit, at it, and one above."""

STATUSES = (408, 409, 425, 429, 500, 501, 502, 503, 504)

SIZES = (0, 1, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 1024 * 1024)
H2C = "h2c"
WAYS = {
    # id: how the body is sent
    "sized": {},
    "chunked": {"chunked": True},
    "late": {"body_delay": 0.05},
    H2C: {"protocol": Protocol.H2C},
}


@pytest.mark.parametrize(("limit", "failures"), BOUNDARY)
@check(MUST, "retry.limit", proves={Capability.RETRY})
async def test_attempts_are_limit_plus_one(
    mesh: MeshUnderTest, server: Workload, client: Workload, limit: int, failures: int
) -> None:
    """With n retries allowed, a request is tried at most n + 1 times, and no more often than it fails.

    The server fails 1 to n + 1 times in a row; its ledger has the exact number of attempts, the boundary included.
    """
    control(await client.get(server)).answered()
    async with mesh.policy(Retry(server, limit, statuses={503})):
        answer = await client.get(server, request_id=await server.answers(*[503] * failures))
        expect(await server.attempts(answer)).attempted(min(failures, limit) + 1)
        expect(answer).answered(200 if failures <= limit else 503)


@pytest.mark.parametrize("limit", LIMITS)
@check(MUST, "retry.limit", proves={Capability.RETRY})
async def test_success_is_not_retried(mesh: MeshUnderTest, server: Workload, client: Workload, limit: int) -> None:
    """With n retries allowed, a request that succeeds is tried once."""
    async with mesh.policy(Retry(server, limit, statuses={503})):
        failed = await client.get(server, request_id=await server.answers(503))
        control(len(await server.attempts(failed)), "attempts of a request that fails once").at_least(2)
        answer = await client.get(server)
        expect(await server.attempts(answer)).attempted(1)
        expect(answer).answered()


def replaces_the_last_answer(documented: Documented) -> str:
    """Why the last answer is not passed on, where the mesh documents that."""
    statuses = documented.retry.exhausted_statuses
    return f"the last answer is replaced ({documented.retry.source('exhausted_statuses')})" if statuses else ""


def passes_the_last_answer_on(documented: Documented) -> str:
    """Why there is no error of the mesh's own after the last retry, if it documents none."""
    return "" if documented.retry.exhausted_statuses else "no error is documented that replaces the last answer"


@needs(replaces_the_last_answer)
@check(MUST, "retry.exhausted", uses={Capability.RETRY})
async def test_exhausted_returns_the_last_answer(mesh: MeshUnderTest, server: Workload, client: Workload) -> None:
    """After the last attempt the client gets that attempt's status and body."""
    last = Body(text="the third and last answer\n")
    answers = (Answer(status=502), Answer(status=503), Answer(status=502, body=last))
    control(await client.get(server, request_id=await server.answers(answers[2]))).answered(502)
    async with mesh.policy(Retry(server, 2, statuses={502, 503})):
        answer = await client.get(server, request_id=await server.answers(*answers))
    expect(await server.attempts(answer)).attempted(3)
    expect(answer).answered(502)
    expect(answer).body(len(last.text), hashlib.sha256(last.text.encode()).hexdigest())


@needs(passes_the_last_answer_on)
@check(MUST, "retry.exhausted", uses={Capability.RETRY})
async def test_exhausted_returns_the_documented_error(mesh: MeshUnderTest, server: Workload, client: Workload) -> None:
    """After the last attempt the client gets the error that the mesh documents in place of the last answer."""
    control(await client.get(server, request_id=await server.answers(502))).answered(502)
    async with mesh.policy(Retry(server, 2, statuses={502})):
        answer = await client.get(server, request_id=await server.answers(502, 502, 502))
    expect(await server.attempts(answer)).attempted(3)
    expect(answer).answered(mesh.documented.retry.exhausted_statuses)


def listable(status: int) -> pytest.MarkDecorator:
    """Needs that a retry policy can list a status."""
    return needs(
        lambda documented: (
            "" if status in documented.retry.statuses else f"status {status} cannot be listed for retries"
        )
    )


def retried_with_body(size: int) -> pytest.MarkDecorator:
    """Needs that a request with a body of so many bytes is retried."""

    def lacking(documented: Documented) -> str:
        limit = documented.retry.body_limit
        return "" if limit is None or size <= limit else f"bodies above {limit} bytes are not retried"

    return needs(lacking)


@pytest.mark.parametrize("status", [pytest.param(status, marks=listable(status)) for status in STATUSES])
@check(MUST, "retry.conditions", proves={Capability.RETRY})
async def test_only_listed_conditions(mesh: MeshUnderTest, server: Workload, client: Workload, status: int) -> None:
    """A status that is listed is retried; the same status, not listed, is tried once."""
    async with mesh.policy(Retry(server, 1, statuses={status})):
        listed = await client.get(server, request_id=await server.answers(status))
        expect(await server.attempts(listed), f"{status}, listed").attempted(2)
        expect(listed).answered()
    unlisted = (set(STATUSES) - {status}) & set(mesh.documented.retry.statuses)
    async with mesh.policy(Retry(server, 1, statuses=unlisted)):
        answer = await client.get(server, request_id=await server.answers(status))
        expect(await server.attempts(answer), f"{status}, not listed").attempted(1)
        expect(answer).answered(status)


@pytest.mark.parametrize("size", [pytest.param(size, marks=retried_with_body(size)) for size in SIZES])
@check(MUST, "retry.body", uses={Capability.RETRY})
async def test_request_body_is_intact_on_every_attempt(
    mesh: MeshUnderTest, server: Workload, client: Workload, size: int
) -> None:
    """On every attempt the application receives the whole body as it was sent: same length, same SHA-256.

    Sizes around the usual buffer limits; with a length, in chunks, with a body that comes after the head, and over
    HTTP/2. Where the mesh documents no limit for HTTP/2, the request may be tried once, and then ends with that answer.
    """
    body, digest = Body(length=size, seed=7), hashlib.sha256(seeded_bytes(7, size)).hexdigest()
    for how in WAYS.values():
        plain = control(await client.post(server, body, **how)).answered()
        control(await server.attempts(plain)).bodies(size, digest)
    async with mesh.policy(Retry(server, 1, statuses={503})):
        for way, how in WAYS.items():
            answer = await client.post(server, body, request_id=await server.answers(503), **how)
            attempts = await server.attempts(answer)
            is_promised = way != H2C or size <= (mesh.documented.retry.http2_body_limit or 0)
            tries = 2 if is_promised or len(attempts) > 1 else 1
            expect(attempts, way).bodies(size, digest)
            expect(attempts, way).attempted(tries)
            expect(answer, way).answered(200 if tries > 1 else 503)
