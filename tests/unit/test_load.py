"""A load goes on, and loses nothing, where an instance of its client or its server is replaced by another."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.load import Load
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Enrolment, WorkloadSpec
from pytest_meshcheck.platforms.base import Metadata
from pytest_meshcheck.platforms.local.platform import Processes
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.testbed.rotation.drain import drained, is_reached

RATE = 200
NAMES = ("client", "second-client", "server", "second-server")
pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def workloads(tmp_path: Path) -> AsyncIterator[dict[str, Workload]]:
    """Two clients and two servers without a mesh."""
    platform = Processes(Journal(), tmp_path)
    specs = [WorkloadSpec("grey", name, Enrolment.UNENROLLED) for name in NAMES]
    started = await asyncio.gather(*(platform.start(spec, Metadata()) for spec in specs))
    yield dict(zip(NAMES, started, strict=True))
    await platform.close()


async def test_it_goes_on_from_another_instance_of_the_client(workloads: dict[str, Workload]) -> None:
    client, server = workloads["client"], workloads["server"]
    async with client.load(server, RATE) as load:
        await server.wait_for_attempts(f"{load.request_id}-5")
        before = client.replace_with(workloads["second-client"])
        await load.move(before, client)
        await load.keeps_up()
        await server.wait_for_attempts(f"{load.request_id}-part1-5")
    assert client.probe is workloads["second-client"].probe
    assert before.probe is not client.probe
    assert load.result.served_once
    assert load.result.sent == load.result.reached == len(await server.attempts_of(load)) >= 12
    assert not client.loads


async def test_what_an_instance_of_the_server_saw_counts_when_it_is_gone(workloads: dict[str, Workload]) -> None:
    client, server = workloads["client"], workloads["server"]
    async with client.load(server, RATE) as load:
        await server.wait_for_attempts(f"{load.request_id}-5")
        load.servers.append(workloads["second-server"])
        await load.leave(server)
        seen = len(await server.attempts_of(load))
        await server.wait_for_attempts(f"{load.request_id}-{seen + 5}")
    assert load.servers == [workloads["second-server"]]
    assert load.result.reached >= 6
    assert load.result.lost
    assert load.result.sent == load.result.reached + len(load.result.lost)


async def test_an_instance_is_left_alone_once_requests_in_a_row_go_to_another(workloads: dict[str, Workload]) -> None:
    client, old, new = workloads["client"], workloads["server"], workloads["second-server"]
    async with client.load(new, RATE) as load:
        assert await is_reached(new, [load], scale=1)
        await drained(old, new, [load], [load], scale=1)
        assert len(await new.attempts_of(load)) >= 30


@dataclass
class Sender:
    """A client whose probe says this of its load."""

    kept: m.Kept

    async def ask(self, command: object, _reply: object) -> object:
        return self.kept if isinstance(command, m.KeepsUp) else m.Done()


async def test_a_load_that_overran_is_inconclusive_and_says_by_how_much() -> None:
    template = m.Request(request_id="i", address=("127.0.0.1", 1))
    load = Load(m.LoadPlan(request_id="i", template=template, rate=100, late=3.0), [])
    await load.begin(Sender(m.Kept(late=2.5, overrun=False, sent=7)))  # type: ignore[arg-type]
    await load.keeps_up()
    assert await load.sent_so_far() == 7
    await load.begin(Sender(m.Kept(late=3.25, overrun=True, sent=9)))  # type: ignore[arg-type]
    with pytest.raises(
        Inconclusive, match=r"^the machine cannot carry the load: 100 requests per second are sent 3\.2 s late$"
    ):
        await load.keeps_up()


async def test_without_a_load_nobody_has_to_be_waited_for(workloads: dict[str, Workload]) -> None:
    assert await is_reached(workloads["server"], [], scale=1)
    await drained(workloads["server"], workloads["second-server"], [], [], scale=1)


async def test_the_order_of_requests_is_known_where_one_client_has_sent_them_all(
    workloads: dict[str, Workload],
) -> None:
    client, server = workloads["client"], workloads["server"]
    marked = ((m.POLICIES_HEADER, "mark"),)
    async with client.load(server, RATE, headers=marked) as load:
        await server.wait_for_attempts(f"{load.request_id}-5")
        with pytest.raises(RuntimeError, match="has ended"):
            load.met(m.Property.POLICIES)
    met = load.met(m.Property.POLICIES)
    assert len(met) == load.result.sent
    assert {(one.shown, one.tells) for one in met} == {("mark", True)}
    assert {one.shown for one in load.met(m.Property.SERVED)} == {True}
    async with client.load(server, RATE) as load:
        await load.move(client, workloads["second-client"])
    with pytest.raises(RuntimeError, match="one client"):
        load.met(m.Property.POLICIES)
