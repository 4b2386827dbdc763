"""Which statuses a caller gets when the data plane, and not the application, answers."""

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Answer,
    Documented,
    Exchange,
    MeshUnderTest,
    Protocol,
    Timeout,
    Workload,
    WorkloadSpec,
    check,
    control,
    converge,
    expect,
    needs,
)

LIMIT = 0.05
"""Seconds that a request may take."""

BACK_WITHIN = 10.0
"""Seconds until a data plane has connected to the application again, which it may try less and less often."""

CALLERS = {
    # id: (port, protocol if not the port's own)
    "http": ("http", {}),
    "h2c": ("http", {"protocol": Protocol.H2C}),
    "grpc": ("grpc", {}),
}
REFUSED, CUT, NO_ENDPOINT = "refused", "cut", "no-endpoint"
"""The application does not listen; it is slower than the limit of the request; its service has no endpoint."""


def unanswered(documented: Documented) -> str:
    """Why there is no answer of a data plane where the application is gone; empty if there is one."""
    unrouted = documented.timeout.answers_unrouted
    return "" if unrouted else "no data plane that knows HTTP is on the way of requests without a policy"


CASES = [
    *(pytest.param(fate, caller, marks=needs(unanswered)) for fate in (REFUSED, NO_ENDPOINT) for caller in CALLERS),
    *((CUT, caller) for caller in CALLERS if caller != "grpc"),
]
"""A gRPC call that is cut is a claim of its own: ``timeout/grpc-deadline-exceeded``."""

ONLY_ENDPOINT = WorkloadSpec("blue", "only-endpoint", grace=40.0)


async def refused(mesh: MeshUnderTest, client: Workload, server: Workload, caller: str) -> Exchange:
    """A request while the application does not listen."""
    port, how = CALLERS[caller]
    async with server.closed(port):
        exchange = await client.get(server, port, **how)
    again, _ = await converge(
        lambda: client.get(server, port, **how), lambda seen: seen.served, BACK_WITHIN * mesh.scale, every=0.1
    )
    control(again, "when it listens again").answered()
    control(await server.attempts(exchange)).never_arrived()
    return exchange


async def cut(mesh: MeshUnderTest, client: Workload, server: Workload, caller: str) -> Exchange:
    """A request that is cut."""
    port, how = CALLERS[caller]
    late = await server.answers(Answer(delay=LIMIT + mesh.tolerance))
    async with mesh.policy(Timeout(server, LIMIT)):
        return await client.get(server, port, request_id=late, **how)


async def to_no_endpoint(mesh: MeshUnderTest, client: Workload, _server: Workload, caller: str) -> Exchange:
    """A request to a service whose only endpoint terminates, once callers have learned that."""
    port, how = CALLERS[caller]
    within = mesh.documented.policies_act_within * mesh.scale + mesh.tolerance
    async with mesh.deploy(ONLY_ENDPOINT) as deployed:
        service = deployed.service
        control(await client.get(service, port, **how), "with an endpoint").answered()
        async with mesh.termination(service):
            exchange, _ = await converge(
                lambda: client.get(service, port, **how), lambda seen: not seen.served, within, every=0.05
            )
    control(exchange.served, "whether it is served without an endpoint").equals(False)
    return exchange


@pytest.mark.parametrize(("fate", "caller"), CASES)
@check(MUST, "timeout.statuses")
async def test_status_table(mesh: MeshUnderTest, client: Workload, server: Workload, fate: str, caller: str) -> None:
    """Where the data plane answers, an HTTP client gets the documented status, and a gRPC client its own.

    It does so for an application that does not listen, for a service without endpoints, and for an application that is
    slower than the limit of the request.
    """
    port, how = CALLERS[caller]
    documented = mesh.documented.timeout
    control(await client.get(server, port, **how)).answered()
    exchange = await {REFUSED: refused, CUT: cut, NO_ENDPOINT: to_no_endpoint}[fate](mesh, client, server, caller)
    of_refused = documented.refused_http2_status if caller == "h2c" else documented.refused_status
    http, grpc = {
        REFUSED: ({of_refused}, {documented.refused_grpc_status}),
        CUT: ({documented.status}, {documented.grpc_status}),
        NO_ENDPOINT: (documented.no_endpoint_statuses, documented.no_endpoint_grpc_statuses),
    }[fate]
    if port == "grpc":
        expect(exchange).answered_grpc(grpc)
    else:
        expect(exchange).answered(http)
