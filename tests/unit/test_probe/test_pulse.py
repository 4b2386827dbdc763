"""A process knows for how long it could not react, and what it has run out of."""

import asyncio
import errno
import os
import re
import resource
import signal
import socket
import time
from typing import Any

import pytest

from pytest_meshcheck.probe.controller import Probe
from pytest_meshcheck.probe.process.limits import SHORTAGES
from pytest_meshcheck.probe.process.pulse import PERIOD, Gap, Pulse, now, standstill
from pytest_meshcheck.probe.protocol import messages as m

pytestmark = pytest.mark.asyncio(loop_scope="module")

FEW = 3
"""Files, all of which a process has open from the start."""

STOPPED = 0.6
"""Seconds for which a process is stopped, and more than a busy machine makes it wait by itself."""


async def felt(probe: Probe, since: float, until: float = 0.0, during: float = 60.0) -> m.Standstill:
    reply = await probe.call(m.FeelPulse(since, until, during))
    assert isinstance(reply, m.Felt)
    return reply.standstill


async def test_a_stopped_probe_knows_for_how_long(started: tuple[Any, Probe]) -> None:
    process, probe = started
    begun = now()
    await probe.call(m.ReadLedger())
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)  # noqa: ASYNC222 - it comes at once
    stopped = now()
    await asyncio.sleep(STOPPED)
    process.send_signal(signal.SIGCONT)
    took = now() - stopped
    stood = await felt(probe, since=now() - begun)
    assert STOPPED - PERIOD <= stood.longest <= took + 5
    assert stood.lost >= stood.longest
    assert (await felt(probe, now() - begun, until=now() - stopped + PERIOD)).longest < stood.longest
    assert probe.longest == pytest.approx(stood.longest, rel=0.5)


async def test_a_blocked_loop_is_a_gap_and_an_open_one_counts() -> None:
    pulse = Pulse()
    pulse.begin()
    begun = now()
    await asyncio.sleep(2 * PERIOD)
    time.sleep(0.3)  # noqa: ASYNC251 - the loop is to be blocked
    assert pulse.over(begun, now(), 1.0).longest >= 0.3 - 2 * PERIOD
    await asyncio.sleep(2 * PERIOD)
    ended = now()
    assert pulse.longest >= 0.3 - 2 * PERIOD
    assert pulse.over(begun, ended, 1.0).longest == pytest.approx(pulse.longest)
    assert pulse.over(begun - 10, begun, 1.0) == m.Standstill()
    pulse.end()
    asyncio.get_running_loop().set_exception_handler(None)


async def test_what_was_lost_counts_within_one_window() -> None:
    gaps = [Gap(0.0, 0.4), Gap(0.5, 0.9), Gap(10.0, 10.5), Gap(12.0, 12.1)]
    stood = standstill(gaps, during=1.0)
    assert (stood.longest, round(stood.lost, 6)) == (0.5, 0.8)
    assert round(standstill(gaps, during=60.0).lost, 6) == 1.4
    assert standstill([], during=1.0) == m.Standstill()


async def test_a_gap_counts_as_far_as_it_lies_in_the_interval() -> None:
    assert Gap(1.0, 3.0).within(2.0, 9.0) == Gap(2.0, 3.0)
    assert Gap(1.0, 3.0).within(0.0, 2.0) == Gap(1.0, 2.0)
    assert Gap(1.0, 3.0).within(5.0, 9.0).seconds == 0.0


async def test_a_probe_that_cannot_accept_says_what_it_ran_out_of(
    started: tuple[Any, Probe], unused: tuple[str, int]
) -> None:
    process, probe = started
    await probe.call(m.Serve("i", (m.Listen(port="http", address=unused, protocol=m.Protocol.HTTP1),)))
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (FEW, FEW))
    with socket.create_connection(unused):
        stood = await felt(probe, since=1.0)
        while not stood.shortage:
            stood = await felt(probe, since=1.0)
    assert stood.shortage == f"open files (limit {FEW})"


LACKING = {
    errno.EMFILE: r"open files \(limit \d+\)",
    errno.ENFILE: "open files of the whole system",
    errno.ENOMEM: "memory",
    errno.ENOBUFS: "buffers for sockets",
    errno.ECONNRESET: "",
}
"""By the error that the loop alone hears of: what the process says of itself."""


@pytest.mark.parametrize("number", LACKING, ids=errno.errorcode.get)
async def test_a_shortage_that_the_loop_alone_hears_of_is_noticed_and_passed_on(number: int) -> None:
    assert set(SHORTAGES) <= set(LACKING)
    loop, heard = asyncio.get_running_loop(), list[dict[str, Any]]()
    loop.set_exception_handler(lambda _loop, context: heard.append(context))
    pulse = Pulse()
    pulse.begin()
    context = {"message": "socket.accept() failed", "exception": OSError(number, os.strerror(number))}
    loop.call_exception_handler(context)
    pulse.end()
    loop.set_exception_handler(None)
    assert re.fullmatch(LACKING[number], pulse.over(now(), now(), during=1.0).shortage)
    assert heard == [context]
