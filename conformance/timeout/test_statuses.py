"""Which statuses a caller gets when the data plane, and not the application, answers."""

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Answer,
    Exchange,
    MeshUnderTest,
    Protocol,
    Timeout,
    Workload,
    check,
    control,
    converge,
    expect,
)

OUTAGE = 0.3
"""Seconds for which the application does not listen: more than default retries take."""
LIMIT = 0.05
"""Seconds that a request may take."""

CALLERS = {
    # id: (port, protocol if not the port's own)
    "http": ("http", {}),
    "h2c": ("http", {"protocol": Protocol.H2C}),
    "grpc": ("grpc", {}),
}
REFUSED, CUT = "refused", "cut"
"""The application does not listen; it is slower than the limit of the request."""

CASES = [(REFUSED, caller) for caller in CALLERS] + [(CUT, caller) for caller in CALLERS if caller != "grpc"]
"""That of gRPC is a claim of its own: ``timeout/grpc-deadline-exceeded``."""


async def refused(mesh: MeshUnderTest, client: Workload, server: Workload, caller: str) -> Exchange:
    """A request while the application does not listen."""
    port, how = CALLERS[caller]
    await server.closes(port, OUTAGE)
    exchange = await client.get(server, port, **how)
    again, _ = await converge(
        lambda: client.get(server, port, **how), lambda seen: seen.served, OUTAGE + mesh.tolerance, every=0.1
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


@pytest.mark.parametrize(("fate", "caller"), CASES)
@check(MUST, "timeout.statuses")
async def test_status_table(mesh: MeshUnderTest, client: Workload, server: Workload, fate: str, caller: str) -> None:
    """Where the data plane answers, an HTTP client gets the documented status, and a gRPC client its own.

    It does so for an application that does not listen, and for one that is slower than the limit of the request.
    """
    port, how = CALLERS[caller]
    documented = mesh.documented.timeout
    control(await client.get(server, port, **how)).answered()
    exchange = await {REFUSED: refused, CUT: cut}[fate](mesh, client, server, caller)
    if port == "grpc":
        expect(exchange).answered_grpc(documented.refused_grpc_status)
    else:
        expect(exchange).answered(documented.refused_status if fate == REFUSED else documented.status)
