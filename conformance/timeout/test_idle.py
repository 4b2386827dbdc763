"""Connections on which nothing happens for a while."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Body,
    Capability,
    Documented,
    Exchange,
    MeshUnderTest,
    Protocol,
    check,
    control,
    expect,
    needs,
    slow,
)

from .limits import limit_acts

PAUSES = {
    # id: seconds
    "two-seconds": 2.0,
    "a-minute": 65.0,
}
ORDER = Body(text="one order\n")
REQUESTS: Mapping[str, Mapping[str, Any]] = {
    # what is sent after the pause
    "GET over HTTP/1.1": {},
    "POST over HTTP/1.1": {"method": "POST", "body": ORDER},
    "GET over h2c": {"protocol": Protocol.H2C},
    "POST over h2c": {"protocol": Protocol.H2C, "method": "POST", "body": ORDER},
}


def kept_for(pause: str) -> pytest.MarkDecorator:
    """Needs that the mesh does not document to close connections that are idle for so long."""

    def lacking(documented: Documented) -> str:
        limit = documented.timeout.idle
        if limit is None or limit > PAUSES[pause]:
            return ""
        return f"idle connections are closed after {limit:g} s ({documented.timeout.source('idle')})"

    return needs(lacking)


async def resumed_connections(mesh: MeshUnderTest, pause: str) -> list[tuple[Exchange, Exchange]]:
    """On a connection for each kind of request, one GET at once and the request after the pause."""
    client, server = await mesh.workload("client_in_green"), await mesh.workload("server_in_green")

    async def before_and_after(request: Mapping[str, Any]) -> tuple[Exchange, Exchange]:
        async with client.kept_connection() as connection:
            protocol = {name: value for name, value in request.items() if name == "protocol"}
            before = await client.get(server, connection=connection, **protocol)
            return before, await client.get(server, connection=connection, idle=PAUSES[pause], **request)

    return list(await asyncio.gather(*map(before_and_after, REQUESTS.values())))


@pytest.mark.parametrize(
    "pause", [pytest.param(name, marks=[kept_for(name), *([slow] if name == "a-minute" else [])]) for name in PAUSES]
)
@check(MUST, "timeout.idle", uses={Capability.TIMEOUT}, head_start=resumed_connections)
async def test_idle_connection_is_reusable(
    mesh: MeshUnderTest, head_start: Awaitable[list[tuple[Exchange, Exchange]]], pause: str
) -> None:
    """A connection that a client keeps can be used again after a pause: the request is served, and arrives once.

    A data plane that closes it in the pause lets the next request fail, and a client cannot know whether a POST that
    failed has arrived.
    """
    server = await mesh.workload("server_in_green")
    resumed = await head_start
    await limit_acts(mesh, await mesh.workload("client_in_green"), server)
    for what, (before, after) in zip(REQUESTS, resumed, strict=True):
        control(before, f"{what}, before the pause").answered()
        expect(after, f"{what}, after {PAUSES[pause]:g} s").answered()
        expect(len(await server.attempts(after)), f"{what}, attempts").at_most(1)
