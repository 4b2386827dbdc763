"""A probe behind a Unix socket: controllers come and go, what it knows stays."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from pytest_meshcheck.probe.agent.arguments import encoded, served
from pytest_meshcheck.probe.controller import ControlStream, Probe, ProbeLost
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.probe.protocol.framing import framed, next_message

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def program(path: Path, *arguments: str, drain: str = "0") -> Any:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pytest_meshcheck.probe", "--socket", path, "--drain", drain, *arguments
    )


class Relayed:
    """Dials through the relay, as into a pod, and can break what it dialled."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.relays: list[Any] = []

    async def __call__(self) -> ControlStream:
        argv = (sys.executable, "-m", "pytest_meshcheck.probe.agent.relay", str(self.path))
        relay = await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        self.relays.append(relay)
        assert relay.stdin is not None
        assert relay.stdout is not None
        return relay.stdout, relay.stdin

    async def break_it(self) -> None:
        self.relays[-1].kill()
        await self.relays[-1].wait()


@pytest_asyncio.fixture(loop_scope="module")
async def dial(tmp_path: Path) -> AsyncIterator[Relayed]:
    process = await program(tmp_path / "control")
    dial = Relayed(tmp_path / "control")
    yield dial
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    for relay in dial.relays:
        await relay.wait()


async def test_calls_are_answered_through_the_relay(dial: Relayed) -> None:
    probe = await Probe.at(dial)
    assert await probe.call(m.ReadLedger()) == m.Ledger(())
    await probe.close()


async def test_a_probe_is_reached_once_nobody_refuses_the_stream_any_more(dial: Relayed) -> None:
    refusals = [ConnectionError("exec into blue/server: 500"), ConnectionError("exec into blue/server: 500")]

    async def refused_twice() -> ControlStream:
        if refusals:
            raise refusals.pop()
        return await dial()

    probe = await Probe.at(refused_twice)
    assert await probe.call(m.ReadLedger()) == m.Ledger(())
    assert not refusals
    await probe.close()


async def test_a_reply_that_a_broken_stream_swallowed_comes_over_the_next(dial: Relayed) -> None:
    probe = await Probe.at(dial)
    waiting = asyncio.create_task(probe.call(m.AwaitAttempt(request_id="nobody", patience=1.5)))
    assert await probe.call(m.ReadLedger()) == m.Ledger(())
    await dial.break_it()
    assert await asyncio.wait_for(waiting, 30) == m.Ledger(())
    assert len(dial.relays) == 2
    await probe.close()


async def test_a_command_is_carried_out_once_though_it_is_sent_twice(dial: Relayed) -> None:
    probe = await Probe.at(dial)
    begun = m.StartLoad(m.LoadPlan(request_id="l", template=request(), rate=1.0, seconds=1.5))
    assert await probe.call(begun) == m.Done()
    finishing = asyncio.create_task(probe.call(m.FinishLoad("l")))
    assert await probe.call(m.ReadLedger("none")) == m.Ledger(())
    await dial.break_it()
    # Carried out twice, the second would fail: there is no such load any more.
    reply = await asyncio.wait_for(finishing, 30)
    assert isinstance(reply, m.Loaded), reply
    await probe.close()


async def test_the_next_controller_starts_from_one(dial: Relayed) -> None:
    first = await Probe.at(dial)
    await first.call(m.SetScript("scripted", ()))
    await first.close()
    second = await Probe.at(dial)
    assert await second.call(m.ReadLedger()) == m.Ledger(())
    await second.close()


async def test_a_broken_stream_settles_once_it_is_replaced(dial: Relayed) -> None:
    dialled, may_dial = asyncio.Event(), asyncio.Event()

    async def gated() -> ControlStream:
        dialled.set()
        await may_dial.wait()
        return await dial()

    may_dial.set()
    probe = await Probe.at(gated)
    may_dial.clear()
    dialled.clear()
    await dial.break_it()
    await asyncio.wait_for(dialled.wait(), 30)
    settled = asyncio.create_task(probe.settled())
    await asyncio.sleep(0)
    assert not settled.done()
    may_dial.set()
    await asyncio.wait_for(settled, 30)
    assert probe.trouble is None
    await probe.close()


async def test_a_probe_that_was_started_anew_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "control"
    process = await program(path)
    dial = Relayed(path)
    probe = await Probe.at(dial)
    process.kill()
    await process.wait()
    path.unlink()
    process = await program(path)
    with pytest.raises(ProbeLost, match="was restarted"):
        await asyncio.wait_for(probe.call(m.ReadLedger()), 30)
    await asyncio.wait_for(probe.settled(), 30)
    assert probe.lost
    process.terminate()
    await process.wait()


def request() -> m.Request:
    return m.Request(request_id="r", authority="nobody", address=("127.0.0.1", 9), patience=1.0)


async def test_the_first_request_is_made_before_anyone_asks(tmp_path: Path, unused: tuple[str, int]) -> None:
    first = m.Request(request_id="first", address=unused, authority="server")
    process = await program(tmp_path / "early", "--first", encoded(first))
    probe = await Probe.at(Relayed(tmp_path / "early"))
    reply = await probe.call(m.FirstExchange())
    assert isinstance(reply, m.Exchanged)
    assert (reply.exchange.request_id, reply.exchange.ending) == ("first", m.Ending.CONNECT_REFUSED)
    await probe.close()
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0


async def test_ports_are_served_before_anyone_asks_and_stay_open_when_asked_for(
    tmp_path: Path, unused: tuple[str, int]
) -> None:
    port = m.Listen(port="tcp", address=unused, protocol=m.Protocol.TCP)
    process = await program(tmp_path / "serving", "--serve", served([port]))
    probe = await Probe.at(Relayed(tmp_path / "serving"))
    reader, writer = await asyncio.open_connection(*unused)
    assert await probe.call(m.Serve("server-1", (port,))) == m.Done()
    writer.write(b"kept")
    assert await reader.readexactly(4) == b"kept"
    writer.close()
    await probe.close()
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0


async def test_a_second_sigterm_ends_the_grace(tmp_path: Path) -> None:
    process = await program(tmp_path / "control", drain="600")
    probe = await Probe.at(Relayed(tmp_path / "control"))
    process.send_signal(signal.SIGTERM)
    assert await probe.call(m.AwaitAttempt(request_id="nobody", patience=0.3)) == m.Ledger(())  # it goes on
    await probe.close()
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 30) == 0


async def test_a_probe_says_that_it_has_been_asked_to_end(tmp_path: Path) -> None:
    process = await program(tmp_path / "control", drain="600")
    probe = await Probe.at(Relayed(tmp_path / "control"))
    asked = asyncio.create_task(probe.call(m.AwaitTermination()))
    assert await probe.call(m.ReadLedger()) == m.Ledger(())
    assert not asked.done()
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(asked, 30) == m.Done()
    assert await probe.call(m.AwaitTermination()) == m.Done()
    await probe.close()
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 30) == 0


async def test_what_makes_no_sense_as_a_reply_is_not_asked_for_again() -> None:
    """Over another stream it would come again, for ever."""
    dialled = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        dialled.append(writer)
        await next_message(reader, msgspec.msgpack.Decoder(m.Hello))
        writer.write(framed(m.Welcome("one")))
        await next_message(reader, msgspec.msgpack.Decoder(m.Call))
        writer.write(framed(m.Welcome("a reply that is none")))

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    probe = await Probe.at(lambda: asyncio.open_connection(host, port))
    with pytest.raises(ProbeLost, match="it sent an invalid reply"):
        await asyncio.wait_for(probe.call(m.ReadLedger()), 30)
    assert len(dialled) == 1
    await probe.close()
    for writer in dialled:
        writer.close()
        await writer.wait_closed()
    server.close()
