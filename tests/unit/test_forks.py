"""Probes are forks of one process, whose end is theirs; beyond that they have nothing of each other."""

import asyncio
import os
import re
import resource
import signal
from collections.abc import AsyncIterator
from itertools import count, islice
from pathlib import Path

import pytest
import pytest_asyncio

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.children import Child
from pytest_meshcheck.platforms.local.process_table import ProcessTable
from pytest_meshcheck.probe.controller import ProbeLost
from pytest_meshcheck.probe.protocol import messages as m

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def table(tmp_path: Path) -> AsyncIterator[ProcessTable]:
    table = ProcessTable(tmp_path)
    yield table
    await table.close()


def server_of(child: Child) -> int:
    return int(Path(f"/proc/{child.process.pid}/stat").read_text("utf-8").rpartition(")")[2].split()[1])


def opened_by(pid: int | str) -> list[str]:
    return [descriptor.name for descriptor in Path(f"/proc/{pid}/fd").iterdir()]


def limit_with(free: int, pid: int) -> int:
    """The limit of open files of a process that can open so many more."""
    unused = (number for number in count() if str(number) not in opened_by(pid))
    return next(islice(unused, free, None))


async def test_they_have_one_server_and_nothing_of_each_other(table: ProcessTable) -> None:
    started = [await table.start_probe(f"probe {number}") for number in range(3)]
    assert [await probe.call(m.ReadLedger()) for _, probe in started] == [m.Ledger(())] * 3
    assert len({server_of(child) for child, _ in started}) == 1
    assert len({len(opened_by(child.process.pid)) for child, _ in started}) == 1
    assert table.children == [child for child, _ in started]


async def test_the_end_of_one_is_its_own(table: ProcessTable) -> None:
    (first, lost), (second, probe) = [await table.start_probe(name) for name in ("first", "second")]
    first.process.kill()
    assert await first.process.wait() == -signal.SIGKILL
    with pytest.raises(ProbeLost):
        await lost.call(m.ReadLedger())
    assert await probe.call(m.ReadLedger()) == m.Ledger(())
    with pytest.raises(ProcessLookupError):
        first.process.kill()
    await probe.close()
    assert await second.process.wait() == 0


async def test_nothing_is_left_open_of_those_that_were_stopped(table: ProcessTable) -> None:
    kept, _ = await table.start_probe("kept")
    before = [len(opened_by(pid)) for pid in ("self", server_of(kept))]
    for number in range(3):
        child, _ = await table.start_probe(f"probe {number}")
        await table.discard(child)
    assert [len(opened_by(pid)) for pid in ("self", server_of(kept))] == before


async def test_a_start_that_is_cancelled_leaves_nothing(table: ProcessTable) -> None:
    kept, _ = await table.start_probe("kept")
    before = len(opened_by("self"))
    os.kill(server_of(kept), signal.SIGSTOP)
    starting = asyncio.create_task(table.start_probe("probe"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(starting, 0.2)
    os.kill(server_of(kept), signal.SIGCONT)
    await asyncio.sleep(0)
    assert len(opened_by("self")) == before
    assert table.children == [kept]


async def test_one_sends_its_first_request_at_once_and_the_others_none(table: ProcessTable) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    heads: list[bytes] = []
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    first = m.Request(
        request_id="first",
        address=server.sockets[0].getsockname(),
        authority="server",
        headers=(("x-long", "x" * 20_000),),
    )
    (_, quiet), (_, early) = await table.start_probe("quiet"), await table.start_probe("early", first)
    for _ in range(2):
        reply = await early.call(m.FirstExchange())
        assert isinstance(reply, m.Exchanged)
        assert (reply.exchange.request_id, reply.exchange.status) == ("first", 204)
    assert await quiet.call(m.FirstExchange()) == m.Failed("it was started without a first request")
    server.close()
    assert [head.partition(b"\r\n")[0] for head in heads] == [b"GET / HTTP/1.1"]


async def test_its_server_takes_them_along_and_is_replaced(table: ProcessTable) -> None:
    child, probe = await table.start_probe("probe")
    assert await probe.call(m.ReadLedger()) == m.Ledger(())  # one that still starts ends by itself, and says why
    os.kill(server_of(child), signal.SIGKILL)
    assert await child.process.wait() == -signal.SIGKILL
    with pytest.raises(Inconclusive, match=r"^the probe died \(signal SIGKILL\); its log is empty$"):
        await table.ensure_alive()
    await table.discard(child)
    _, probe = await table.start_probe("probe")
    assert await probe.call(m.ReadLedger()) == m.Ledger(())


@pytest.mark.parametrize("free", [3, 4], ids=["to receive", "to fork"])
async def test_one_that_finds_no_room_is_named_with_the_reason(table: ProcessTable, free: int) -> None:
    child, probe = await table.start_probe("first")
    server = server_of(child)
    before = resource.prlimit(server, resource.RLIMIT_NOFILE)
    resource.prlimit(server, resource.RLIMIT_NOFILE, (limit_with(free, server), before[1]))
    for _ in range(2):
        with pytest.raises(Inconclusive, match=re.escape("the second cannot be started: Too many open files")):
            await table.start_probe("second")
    resource.prlimit(server, resource.RLIMIT_NOFILE, before)
    _, second = await table.start_probe("second")
    assert await probe.call(m.ReadLedger()) == await second.call(m.ReadLedger()) == m.Ledger(())
