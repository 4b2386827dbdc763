"""What controllers say of Gateways and routes: as they are now, not as they were."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from kubernetes_asyncio.client import Configuration

from pytest_meshcheck.meshes.kubernetes import gateway_api
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.kubernetes.api.resources import Api

pytestmark = pytest.mark.asyncio
SOON, PATIENT = 0.3, 30.0


@asynccontextmanager
async def listing(*resources: dict[str, Any]) -> AsyncIterator[Api]:
    """An API server that lists these, whatever is asked; what watches is told of nothing."""
    body = json.dumps({"items": resources, "metadata": {"resourceVersion": "1"}}).encode()

    answering: list[asyncio.Task[None]] = []

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answering.append(asyncio.create_task(answer(reader, writer)))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        watched = b"watch=true" in request
        length = b"" if watched else b"Content-Length: %d\r\n" % len(body)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%sConnection: close\r\n\r\n" % length)
        if watched:
            await reader.read()
        else:
            writer.write(body)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        api = Api(Configuration(host=f"http://{host}:{port}"), SOON)
        yield api
        await api.close()
    await asyncio.gather(*answering, return_exceptions=True)  # a client may have gone without a request


def condition(kind: str, status: str, generation: int = 2) -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": "Why", "message": "how", "observedGeneration": generation}


def resource(namespace: str, name: str, **rest: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": namespace, "name": name, "uid": f"{namespace}/{name}", "generation": 2}, **rest}


def gateway(*conditions: dict[str, Any]) -> dict[str, Any]:
    return resource("waypoint", "waypoint", status={"conditions": list(conditions)})


def route(*conditions: dict[str, Any]) -> dict[str, Any]:
    status = {"parents": [{"conditions": list(conditions)}]} if conditions else {}
    return resource("blue", "route", spec={"parentRefs": [{"name": "server"}]}, status=status)


async def test_a_gateway_that_is_programmed() -> None:
    async with listing(gateway(condition("Accepted", "True"), condition("Programmed", "True"))) as api:
        await gateway_api.programmed(api, "waypoint", "waypoint", PATIENT)


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ((), "no controller has accepted it"),
        ((gateway(),), "no controller has accepted it"),
        ((gateway(condition("Programmed", "True", generation=1)),), "no controller has accepted it"),
        ((gateway(condition("Programmed", "False")),), "Programmed is False, Why: how"),
    ],
)
async def test_one_that_is_not(there: tuple[dict[str, Any], ...], told: str) -> None:
    async with listing(*there) as api:
        with pytest.raises(Inconclusive, match=told):
            await gateway_api.programmed(api, "waypoint", "waypoint", SOON)


async def test_routes_that_are_taken_or_somebody_elses() -> None:
    other = resource("elsewhere", "theirs", spec={"parentRefs": [{}]})
    async with listing(route(condition("Accepted", "True"), condition("ResolvedRefs", "True")), other) as api:
        await gateway_api.routes_taken(api, {"blue"}, PATIENT)


@pytest.mark.parametrize("said", [(), (condition("Accepted", "True", 1), condition("ResolvedRefs", "True", 1))])
async def test_one_of_which_nobody_has_spoken(said: tuple[dict[str, Any], ...]) -> None:
    async with listing(route(*said)) as api:
        with pytest.raises(Inconclusive, match="no controller has accepted the HTTPRoute route"):
            await gateway_api.routes_taken(api, {"blue"}, SOON)


async def test_one_that_is_refused_is_not_waited_for() -> None:
    async with listing(route(condition("Accepted", "True"), condition("ResolvedRefs", "False"))) as api:
        with pytest.raises(Inconclusive, match="ResolvedRefs is False, Why: how"):
            await gateway_api.routes_taken(api, {"blue"}, PATIENT)
