"""Random texts in every part of an exchange, to be looked for on the network."""

import secrets

from pytest_meshcheck.suite import Answer, Body, MeshUnderTest, Via, Workload, control

PLACES = {
    # port: where a canary is put; the header frames of HTTP/2 are compressed, so that only bodies are looked for there
    "http": ("path", "header", "body", "response-header", "response-body", "trailer"),
    "grpc": ("body", "response-body"),
    "tcp": ("body",),
}


async def send_canaries(
    client: Workload, server: Workload, port: str, *failures: Answer, via: Via = Via.SERVICE
) -> list[str]:
    """Make one exchange with a canary in each place, and return the canaries.

    Attempts before the last one fail as given; it is for a mesh that retries to make more than one.
    """
    canary = {place: secrets.token_hex(12) for place in ("path", *PLACES["http"])}
    answer = Answer(
        headers=(("x-canary", canary["response-header"]),),
        body=Body(text=canary["response-body"]),
        trailers=(("x-trailer", canary["trailer"]),) if port == "http" else (),
    )
    request = {"path": f"/{canary['path']}"} if port == "http" else {}
    request_id = await server.answers(*failures, answer)
    headers = (("x-canary", canary["header"]),)
    sent = Body(text=canary["body"])
    seen = await client.post(server, sent, port, via=via, request_id=request_id, headers=headers, **request)
    control(seen).answered()
    control(await server.attempts(seen)).attempted(len(failures) + 1)
    return [canary[place] for place in PLACES[port]]


async def are_found(mesh: MeshUnderTest, outsider: Workload, plain_server: Workload, port: str) -> None:
    """Control: between workloads outside of the mesh the recorder finds every canary."""
    async with mesh.wire(outsider, plain_server, port) as wire:
        canaries = await send_canaries(outsider, plain_server, port)
        control(await wire.look_for(*canaries)).readable(canaries)
