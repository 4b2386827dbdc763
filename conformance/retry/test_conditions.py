"""What makes the mesh try again: every documented failure under a policy, and the defaults under none."""

from dataclasses import dataclass

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Answer,
    Behaviour,
    Body,
    Capability,
    Documented,
    Exchange,
    Failure,
    MeshUnderTest,
    Protocol,
    Retry,
    Timeout,
    Workload,
    check,
    control,
    expect,
    needs,
)

from .listed import GRPC, listing, proven_after, unlistable


@dataclass(frozen=True)
class Spelling:
    """One way in which a first attempt fails.

    Attributes:
        failure: The failure that the policy lists.
        answer: The server's answer to the first attempt; None: the port is closed for a moment.
        port: The port that it is sent to.
        protocol: The protocol spoken there; None for the declared one.
    """

    failure: Failure
    answer: Answer | None
    port: str = "http"
    protocol: Protocol | None = None

    @property
    def in_trailers(self) -> bool:
        """Whether the failure is a gRPC status that comes after the head of the answer."""
        return self.failure in GRPC and self.answer is not None and not self.answer.trailers_only

    def lacking(self, documented: Documented) -> str:
        """Why the mesh does not try again after it, by its own documentation; empty if it does."""
        promised = documented.retry
        if reason := unlistable(self.failure, documented):
            return reason
        if self.in_trailers and not promised.status_in_trailers:
            return f"a gRPC status in trailers is not retried ({promised.source('status_in_trailers')})"
        return ""


SPELLINGS = {
    "status": Spelling(Failure.STATUS, Answer(status=503)),
    "connection-refused": Spelling(Failure.CONNECT, None),
    "reset": Spelling(Failure.RESET, Answer(behaviour=Behaviour.RESET)),
    "close": Spelling(Failure.RESET, Answer(behaviour=Behaviour.CLOSE)),
    "refused-stream": Spelling(
        Failure.REFUSED_STREAM, Answer(behaviour=Behaviour.REFUSE_STREAM), "grpc", protocol=Protocol.H2C
    ),
} | {
    f"{failure}-{form}": Spelling(failure, Answer(grpc_status=code, trailers_only=form == "trailers-only"), "grpc")
    for failure, code in GRPC.items()
    for form in ("trailers", "trailers-only")
}
OUTAGE = 0.2
"""Seconds for which the port is closed."""
ENOUGH = 60
"""Retries that last longer than the outage, whatever the pauses between them."""

METHODS = ("GET", "HEAD", "PUT", "DELETE", "POST", "PATCH")


@dataclass(frozen=True)
class Failing:
    """A method, and how each attempt at it fails.

    Attributes:
        method: An HTTP method, or ``gRPC``.
        failure: The failure that a policy would list.
        status: The HTTP or gRPC status of every attempt; 0 if it has none.
        answer: The server's answer to every attempt.
    """

    method: str
    failure: Failure
    status: int
    answer: Answer

    @property
    def how(self) -> dict[str, str]:
        """How it is sent."""
        return {"port": "grpc"} if self.method == "gRPC" else {"method": self.method}


FAILING = {
    f"{method}-{status or 'reset'}": Failing(method, failure, status, answer)
    for method in METHODS
    for failure, status, answer in (
        (Failure.STATUS, 429, Answer(status=429)),
        (Failure.STATUS, 500, Answer(status=500)),
        (Failure.STATUS, 503, Answer(status=503)),
        (Failure.RESET, 0, Answer(behaviour=Behaviour.RESET)),
    )
} | {
    f"gRPC-{failure.removeprefix('grpc-')}": Failing(
        "gRPC", failure, status, Answer(grpc_status=status, trailers_only=True)
    )
    for failure, status in GRPC.items()
}


@dataclass(frozen=True)
class Unsafe:
    """Requests that must not be made twice, and how each attempt at them fails.

    Attributes:
        method: An HTTP method.
        answer: What the application does.
        outside: Whether it is outside of the mesh, so that the client's data plane meets its failure itself.
        routed: Whether its service has a policy, though none of retries.
    """

    method: str
    answer: Answer
    outside: bool = False
    routed: bool = False


UNSAFE = {
    f"{method}-{name}{where}": Unsafe(method, answer, outside, routed)
    for method in ("POST", "PATCH")
    for name, answer in (
        ("503", Answer(status=503)),
        ("reset", Answer(behaviour=Behaviour.RESET)),
        ("close", Answer(behaviour=Behaviour.CLOSE)),
        ("stall", Answer(behaviour=Behaviour.STALL)),
    )
    for where, outside, routed in (("", False, False), ("-outside", True, False), ("-routed", False, True))
}
PAYMENTS = 5
AMPLE = 60.0
"""Seconds of a limit that no payment meets."""
LOST = 2
"""So many payments may be lost before they arrive, with a connection that another one's failure ended."""


@pytest.mark.parametrize(
    "spelling",
    [pytest.param(name, marks=[proven_after(case.failure), needs(case.lacking)]) for name, case in SPELLINGS.items()],
)
@check(MUST, "retry.fires", proves={Capability.RETRY, Capability.RETRY_GRPC})
async def test_fires_for_every_spelling_of_failure(
    mesh: MeshUnderTest, client: Workload, plain_server: Workload, spelling: str
) -> None:
    """A retry that is configured for a failure really happens when it fails in that way, however it is spelled.

    A status, a refused connection, one that is reset or closed before the head of an answer, a refused stream, and each
    gRPC status in trailers and as Trailers-Only. The failing server is outside of the mesh, so that nothing rewrites
    its failure.
    """
    case = SPELLINGS[spelling]
    async with mesh.policy(Retry(plain_server, 0)):
        alone = await fails_once(client, plain_server, case)
        control(alone.served, "a failure without retries").equals(False)
    async with mesh.policy(Retry(plain_server, 1 if case.answer else ENOUGH, **listing(case.failure))):
        retried = await fails_once(client, plain_server, case)
        expect(retried, spelling, rests_on=None if case.answer else mesh.time(OUTAGE)).answered()
        expect(await plain_server.attempts(retried), spelling).attempted(2 if case.answer else 1)
        if case.answer is None:
            control(retried.seconds, "seconds, of which the port was closed for some").at_least(OUTAGE / 2)


async def fails_once(client: Workload, server: Workload, case: Spelling) -> Exchange:
    """A request whose first attempt fails as described, and whose next one is served."""
    how = {"protocol": case.protocol} if case.protocol else {}
    if case.answer is None:
        await server.closes(case.port, OUTAGE)
        return await client.get(server, case.port, **how)
    return await client.get(server, case.port, request_id=await server.answers(case.answer), **how)


async def retries_by_policy(mesh: MeshUnderTest, client: Workload, server: Workload) -> None:
    """Control: the mesh is in the way of these requests and can retry them; only then it means something if not."""
    async with mesh.policy(Retry(server, 1, statuses={503})):
        retried = await client.get(server, request_id=await server.answers(503))
    control(await server.attempts(retried), "a retry by policy").attempted(2)


@pytest.mark.parametrize("case", UNSAFE)
@check(MUST, "retry.unsafe", uses={Capability.RETRY})
async def test_unsafe_requests_run_at_most_once_by_default(
    mesh: MeshUnderTest, client: Workload, server: Workload, plain_server: Workload, case: str
) -> None:
    """Without a retry policy, a payment is made at most once, however the application fails.

    Numbered POST and PATCH requests, one after the other, meet a 503, a connection that is reset or closed, and an
    application that never answers. It is part of the mesh, or outside of it, so that nothing rewrites its failure; or
    its service has a policy about something else.
    """
    unsafe = UNSAFE[case]
    payee = plain_server if unsafe.outside else server
    await retries_by_policy(mesh, client, payee)
    patience = {"patience": 0.3 * mesh.scale} if unsafe.answer.behaviour is Behaviour.STALL else {}
    payments = [await payee.answers(unsafe.answer, repeat=True) for _ in range(PAYMENTS)]
    async with mesh.policy(*((Timeout(payee, AMPLE),) if unsafe.routed else ())):
        for number, payment in enumerate(payments):
            body = Body(text=f"pay {number}\n")
            await client.get(payee, method=unsafe.method, body=body, request_id=payment, **patience)
        arrived = [bool(await payee.wait_for_attempts(payment, patience=mesh.tolerance)) for payment in payments]
    control(sum(arrived), "payments that arrived").at_least(PAYMENTS - LOST)
    for payment in payments:
        expect(len(await payee.attempts(payment)), "attempts of a payment").at_most(1)


@pytest.mark.parametrize("case", FAILING)
@check(MUST, "retry.default", uses={Capability.RETRY})
async def test_default_equals_documentation(mesh: MeshUnderTest, client: Workload, server: Workload, case: str) -> None:
    """Under no policy, a request of this method that fails like this is tried as often as the mesh documents."""
    await retries_by_policy(mesh, client, server)
    failing = FAILING[case]
    request_id = await server.answers(failing.answer, repeat=True)
    failed = await client.get(server, request_id=request_id, **failing.how)
    documented = mesh.documented.retry.attempts_by_default(failing.method, failing.failure, failing.status)
    expect(await server.attempts(failed)).attempted(documented)
