"""What a network policy decides about calls."""

from collections.abc import Iterable, Mapping

from pytest_meshcheck.suite import Exchange, MeshUnderTest, control, expect

from ..calls import Call, made

UNLISTED = {
    # port that the policy lists: one that it does not
    "http": "http-alt",
    "grpc": "tcp",
    "tcp": "grpc",
}
RATE = 20
"""Requests per second of a load: a refused one is under way for as long as its client is patient."""
ENOUGH = 20
"""Requests of a load before something happens to the network, and after it."""


async def all_are_served(mesh: MeshUnderTest, calls: Iterable[Call]) -> None:
    """Control: without a policy each of these calls is served."""
    for call, seen in (await made(mesh, calls)).items():
        control(seen, f"{call} without a policy").answered()


def all_are_answered(seen: Mapping[Call, Exchange]) -> None:
    """Each of these requests was answered."""
    for call, exchange in seen.items():
        expect(exchange, str(call)).answered()


async def all_are_refused(mesh: MeshUnderTest, seen: Mapping[Call, Exchange]) -> None:
    """None of these requests got through, and none of them reached the application."""
    for call, exchange in seen.items():
        arrived = await call.server.attempts(exchange)
        expect(exchange, str(call)).refused(mesh.documented.network.refused_as, arrived=arrived)
