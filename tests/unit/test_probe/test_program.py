"""The program and its control stream."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_meshcheck.probe.controller import Probe, ProbeLost
from pytest_meshcheck.probe.protocol import messages as m

pytestmark = pytest.mark.asyncio(loop_scope="module")

PARENT = """
import subprocess, sys, time
command = [sys.executable, "-m", "pytest_meshcheck.probe"]
child = subprocess.Popen(command, stdin=int(sys.argv[1]), stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
time.sleep(600)
"""


async def test_the_end_of_its_input_ends_it(started: tuple[Any, Probe]) -> None:
    process, probe = started
    await probe.close()
    assert await process.wait() == 0


def wait_until_it_has_taken_its_streams(pid: int) -> None:
    """Until then, its standard output leads to where it was started with; just before, it begins to belong to us."""
    until = time.monotonic() + 30
    while Path(f"/proc/{pid}/fd/1").readlink() == Path(os.devnull) and time.monotonic() < until:
        time.sleep(0.02)


async def test_it_dies_with_its_parent() -> None:
    # We hold the other end of its input, so that nothing but the parent's death can end it.
    reading, writing = os.pipe()
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(reading), stdout=subprocess.PIPE, pass_fds=[reading]
    )
    os.close(reading)
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    probe = os.pidfd_open(pid)
    wait_until_it_has_taken_its_streams(pid)
    gone = asyncio.Event()
    asyncio.get_running_loop().add_reader(probe, gone.set)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(gone.wait(), 1)
    parent.kill()
    await asyncio.wait_for(gone.wait(), 30)
    asyncio.get_running_loop().remove_reader(probe)
    os.close(probe)
    os.close(writing)
    await parent.wait()


async def test_it_ignores_the_interrupt_that_is_for_its_controller(started: tuple[Any, Probe]) -> None:
    process, probe = started
    assert await probe.call(m.ReadLedger()) == m.Ledger(())
    process.send_signal(signal.SIGINT)
    assert await probe.call(m.ReadLedger()) == m.Ledger(())


async def test_all_callers_learn_that_it_is_lost(started: tuple[Any, Probe]) -> None:
    process, probe = started
    waiting = [asyncio.create_task(probe.call(m.AwaitAttempt("never", patience=600))) for _ in range(3)]
    assert await probe.call(m.ReadLedger()) == m.Ledger(())
    process.kill()
    for lost in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(lost, ProbeLost)
    with pytest.raises(ProbeLost):
        await probe.call(m.ReadLedger())


async def test_replies_come_in_any_order(started: tuple[Any, Probe]) -> None:
    _, probe = started
    slow = asyncio.create_task(probe.call(m.AwaitAttempt("never", patience=600)))
    assert await probe.call(m.ReadLedger()) == m.Ledger(())
    assert not slow.done()
    slow.cancel()


async def test_a_cancelled_caller_does_not_disturb_the_others(started: tuple[Any, Probe]) -> None:
    _, probe = started
    callers = [asyncio.create_task(probe.call(m.AwaitAttempt("never", patience=0.2))) for _ in range(20)]
    await asyncio.sleep(0)
    for caller in callers[::2]:
        caller.cancel()
    replies = await asyncio.gather(*callers, return_exceptions=True)
    assert replies[1::2] == [m.Ledger(())] * 10
    assert all(isinstance(reply, asyncio.CancelledError) for reply in replies[::2])
    assert await probe.call(m.ReadLedger()) == m.Ledger(())


async def test_large_messages_go_through(pair: Any) -> None:
    answer = m.Answer(body=m.Body(text="x" * (5 << 20)))
    await pair.script("large", *[answer] * 3)
    assert (await pair.send("large")).body_length == 5 << 20


async def test_bytes_that_are_no_message_lose_the_probe() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print('hello, this is no probe')", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    probe = Probe.over(process.stdin, process.stdout)
    with pytest.raises(ProbeLost):
        await probe.call(m.ReadLedger())
    await process.wait()


async def test_a_port_in_use_is_named(pair: Any) -> None:
    reply = await pair.client.call(
        m.Serve("x", (m.Listen(port="taken", address=pair.ports["http"], protocol=m.Protocol.HTTP1),))
    )
    assert isinstance(reply, m.Failed)
    assert "'taken'" in reply.error
    assert str(pair.ports["http"][1]) in reply.error


async def test_a_closed_listener_refuses_connections(pair: Any, unused: tuple[str, int]) -> None:
    listen = m.Listen(port="passing", address=unused, protocol=m.Protocol.HTTP1)
    assert await pair.server.call(m.Serve("server-1", (listen,))) == m.Done()
    assert (await pair.send("passing", unused)).ending is m.Ending.ANSWERED
    assert await pair.server.call(m.CloseListener("passing")) == m.Done()
    assert (await pair.send("passing", unused)).ending is m.Ending.CONNECT_REFUSED


async def test_a_port_that_is_closed_for_long_is_opened_again_by_hand(pair: Any, unused: tuple[str, int]) -> None:
    listen = m.Listen(port="returning", address=unused, protocol=m.Protocol.HTTP1)
    assert await pair.server.call(m.Serve("server-1", (listen,))) == m.Done()
    assert await pair.server.call(m.CloseListener("returning", 600.0)) == m.Done()
    assert (await pair.send("closed", unused)).ending is m.Ending.CONNECT_REFUSED
    assert await pair.server.call(m.CloseListener("returning", 0.0)) == m.Done()
    async with asyncio.timeout(30):
        while (await pair.send("open", unused)).ending is not m.Ending.ANSWERED:
            pass  # it is opened as soon as the probe comes to it
    assert await pair.server.call(m.CloseListener("returning")) == m.Done()


@pytest.mark.parametrize(
    "command",
    [
        m.CloseListener("absent"),
        m.FinishLoad("absent"),
        m.CloseStream("absent"),
        m.LookFor("absent", ("x",)),
        m.StopRecording("absent"),
    ],
)
async def test_what_does_not_exist_is_named(pair: Any, command: m.Command) -> None:
    reply = await pair.client.call(command)
    assert isinstance(reply, m.Failed)
    assert "'absent'" in reply.error
