"""What can be read between the data planes."""

import secrets

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Answer,
    Body,
    Capability,
    MeshUnderTest,
    Workload,
    check,
    control,
    expect,
)

PLACES = {
    # port: where a canary is put; the header frames of HTTP/2 are compressed, so that only bodies are looked for there
    "http": ("path", "header", "body", "response-header", "response-body", "trailer"),
    "grpc": ("body", "response-body"),
    "tcp": ("body",),
}


async def send_canaries(client: Workload, server: Workload, port: str) -> list[str]:
    """Make one exchange with a canary in each place, and return the canaries."""
    canary = {place: secrets.token_hex(12) for place in ("path", *PLACES["http"])}
    answer = Answer(
        headers=(("x-canary", canary["response-header"]),),
        body=Body(text=canary["response-body"]),
        trailers=(("x-trailer", canary["trailer"]),) if port == "http" else (),
    )
    request = {"path": f"/{canary['path']}"} if port == "http" else {}
    control(
        await client.post(
            server,
            Body(text=canary["body"]),
            port,
            request_id=await server.answers(answer),
            headers=(("x-canary", canary["header"]),),
            **request,
        )
    ).answered()
    return [canary[place] for place in PLACES[port]]


@pytest.mark.parametrize("port", PLACES)
@check(MUST, "mtls.confidentiality", proves={Capability.CONFIDENTIALITY})
async def test_request_is_unreadable_on_the_wire(
    mesh: MeshUnderTest, client: Workload, server: Workload, outsider: Workload, plain_server: Workload, port: str
) -> None:
    """Nothing that enrolled workloads send each other can be read on the network between them.

    A random canary stands in the request line, a header and the body of the request, and in a header, the body and a
    trailer of the answer. The same recording between two workloads outside of the mesh finds every one of them.
    """
    async with mesh.wire(outsider, plain_server, port) as wire:
        canaries = await send_canaries(outsider, plain_server, port)
        control(await wire.look_for(*canaries)).readable(canaries)
    async with mesh.wire(client, server, port) as wire:
        canaries = await send_canaries(client, server, port)
        expect(await wire.look_for(*canaries)).unreadable()
