"""Which statuses a caller gets when the data plane, and not the application, answers."""

import pytest

from pytest_meshcheck.suite import (
    MUST,
    MeshUnderTest,
    Protocol,
    Workload,
    check,
    control,
    converge,
    expect,
)

OUTAGE = 0.3
"""Seconds for which the application does not listen: more than default retries take."""

CALLERS = {
    # id: (port, protocol if not the port's own)
    "refused-http": ("http", {}),
    "refused-h2c": ("http", {"protocol": Protocol.H2C}),
    "refused-grpc": ("grpc", {}),
}


@pytest.mark.parametrize("case", CALLERS)
@check(MUST, "timeout.statuses")
async def test_status_table(mesh: MeshUnderTest, client: Workload, server: Workload, case: str) -> None:
    """Where the application does not listen, an HTTP client gets the documented status, and a gRPC client its own."""
    port, how = CALLERS[case]
    documented = mesh.documented.timeout
    control(await client.get(server, port, **how)).answered()
    await server.closes(port, OUTAGE)
    refused = await client.get(server, port, **how)
    again, _ = await converge(
        lambda: client.get(server, port, **how), lambda exchange: exchange.served, OUTAGE + mesh.tolerance, every=0.1
    )
    control(again, "when it listens again").answered()
    control(await server.attempts(refused)).never_arrived()
    if port == "grpc":
        expect(refused).answered_grpc(documented.refused_grpc_status)
    else:
        expect(refused).answered(documented.refused_status)
