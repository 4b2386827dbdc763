"""Concurrent requests over connections that data planes share among them."""

import asyncio
import hashlib
import itertools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Answer,
    Body,
    Capability,
    MeshUnderTest,
    Timeout,
    Workload,
    check,
    control,
    expect,
)

LARGE = 32 << 20
"""Bytes of one stream."""
PATIENCE = 60.0
"""Seconds; even a busy machine needs a fraction of them."""
ROUNDS = 2
"""A later round reuses the connections of the earlier one."""
AT_ONCE = 3
"""Requests of each client to each server, in one round."""
APART = 0.003
"""Seconds between the answers to such requests, the first one answered last: they overtake each other."""

LIMIT = 2.0
"""Seconds; a request takes that long only where it has to."""
ROUTED = ("http", "http-alt", "grpc")
ENOUGH = 10
"""Requests to each port: all of them by chance on the right one of two, once in a thousand times."""


@dataclass(frozen=True)
class Tagged:
    """One request with a tag of its own, which its answer repeats.

    Attributes:
        client: Its sender.
        server: Its destination.
        tag: Its id and its body.
        delay: Seconds until it is answered.
    """

    client: Workload
    server: Workload
    tag: str
    delay: float

    async def answered(self, port: str) -> None:
        """Send it; a violation unless its own answer comes back."""
        answer = Answer(body=Body(text=self.tag), delay=self.delay)
        await self.server.answers(answer, request_id=self.tag)
        seen = await self.client.post(self.server, Body(text=self.tag), port, request_id=self.tag)
        control(seen, self.tag).answered()
        expect(seen.body_start, f"the answer to {self.tag}").equals(self.tag)


def tagged(round_: str, clients: Sequence[Workload], servers: Sequence[Workload]) -> list[Tagged]:
    """The requests of one round, whose tags begin with its name."""
    calls = itertools.product(clients, servers, range(AT_ONCE))
    return [
        Tagged(client, server, f"{round_}-{number}", APART * (AT_ONCE - of_pair))
        for number, (client, server, of_pair) in enumerate(calls)
    ]


@check(MUST, "identity.whole", uses={Capability.MTLS})
async def test_streams_are_delivered_whole(
    mesh: MeshUnderTest, client: Workload, server: Workload, outsider: Workload
) -> None:
    """What a client says over TCP, far more than the buffers on the way hold, comes back whole and unaltered.

    The server reads and answers it piece by piece, and the client reads while it still writes.
    """
    await mesh.shown_chain(outsider, server)  # without a data plane there is nothing to judge
    control(await client.post(server, Body(length=1), "tcp")).answered()
    seen = await client.post(server, Body(length=LARGE, seed=16), "tcp", patience=PATIENCE * mesh.scale)
    expect(seen, f"an echo of {LARGE >> 20} MiB", rests_on=mesh.time(PATIENCE / 2)).answered()


@pytest.mark.parametrize("port", ["http", "grpc", "tcp"])
@check(MUST, "identity.delivery", uses={Capability.MTLS})
async def test_no_cross_delivery(
    mesh: MeshUnderTest,
    client: Workload,
    second_client: Workload,
    server: Workload,
    server_in_green: Workload,
    client_in_green: Workload,
    short_lived: Workload,
    outsider: Workload,
    port: str,
) -> None:
    """Of many concurrent requests each reaches its own server, once, and gets its own answer.

    Two clients call four servers, two of which have the same name in different namespaces. Every request and every
    answer bears a tag; answers overtake each other, and later requests use the connections of earlier ones.
    """
    servers = (server, server_in_green, client_in_green, short_lived)
    for one in servers:
        await mesh.shown_chain(outsider, one)
    for _ in range(ROUNDS):
        name = secrets.token_hex(6)
        requests = tagged(name, (client, second_client), servers)
        await asyncio.gather(*(request.answered(port) for request in requests))
        for one in servers:
            own = [request.tag for request in requests if request.server is one]
            seen = await one.attempts_under(name)
            expect(sorted(attempt.request_id for attempt in seen), f"requests at {one}").equals(sorted(own))
            for attempt in seen:
                sent = hashlib.sha256(attempt.request_id.encode()).hexdigest()
                expect(attempt.body_sha256, f"the body of {attempt.request_id}").equals(sent)


@check(MUST, "identity.port", uses={Capability.TIMEOUT})
async def test_route_keeps_the_port(mesh: MeshUnderTest, client: Workload, server: Workload) -> None:
    """Requests arrive on the port of the service that they were sent to, also where a policy is about that service.

    All its ports have routes then, which do not tell one from another by anything but the port.
    """
    late = await server.answers(Answer(delay=LIMIT + mesh.tolerance))
    async with mesh.policy(Timeout(server, LIMIT)):
        control(await client.get(server, request_id=late), "a late answer").answered(mesh.documented.timeout.status)
        for port in ROUTED:
            seen = await asyncio.gather(*(client.get(server, port) for _ in range(ENOUGH)))
            attempts = [attempt for one in seen for attempt in await server.attempts(one)]
            control(len(attempts), f"requests to the port {port} that arrived").at_least(ENOUGH)
            expect({attempt.port for attempt in attempts}, f"ports that requests to {port} reached").equals({port})
