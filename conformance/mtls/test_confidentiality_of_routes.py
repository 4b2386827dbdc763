"""Confidentiality between data planes that retry and limit requests."""

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Answer,
    Capability,
    Failure,
    MeshUnderTest,
    Mode,
    MutualTls,
    Retry,
    Timeout,
    Workload,
    check,
    expect,
)

from .canaries import are_found, send_canaries

UNAVAILABLE = 14
LIMIT = 20.0
"""Seconds; a limit that nothing reaches."""

FAILURES = {
    # port: how the first attempt fails, and by what a retry lists it
    "http": (Answer(status=503), {"statuses": {503}}),
    "grpc": (Answer(grpc_status=UNAVAILABLE, trailers_only=True), {"on": {Failure.GRPC_UNAVAILABLE}}),
}


@pytest.mark.parametrize("mode", Mode, ids=str)
@pytest.mark.parametrize("port", FAILURES)
@check(
    MUST,
    "mtls.confidentiality",
    proves={Capability.CONFIDENTIALITY},
    uses={Capability.RETRY, Capability.TIMEOUT, Capability.STRICT_MTLS, Capability.PERMISSIVE_MTLS},
)
async def test_unreadable_with_routing_and_authorization_attached(
    mesh: MeshUnderTest,
    client: Workload,
    server: Workload,
    outsider: Workload,
    plain_server: Workload,
    port: str,
    mode: Mode,
) -> None:
    """Nothing can be read on the network while routes with retries and limits, and a mode of mutual TLS, are in force.

    The first attempt fails and is retried, so that the request is sent twice. A canary stands in each part of the
    request and of the answer. Under permissive mutual TLS the server would take plaintext, too.
    """
    if port == "grpc":
        mesh.insist_on(Capability.RETRY_GRPC, "retries of gRPC calls")
    failure, listed = FAILURES[port]
    await are_found(mesh, outsider, plain_server, port)
    policies = (Retry(server, 1, **listed), Timeout(server, LIMIT), MutualTls(server, mode))
    async with mesh.policy(*policies), mesh.wire(client, server, port) as wire:
        canaries = await send_canaries(client, server, port, failure)
        expect(await wire.look_for(*canaries)).unreadable()
