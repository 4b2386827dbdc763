"""The program: reads commands from standard input, replies on standard output, lives no longer than its parent."""

import asyncio
import ctypes
import os
import resource
import signal
import sys
import traceback
from typing import BinaryIO

import msgspec

from pytest_meshcheck.probe.agent import Agent
from pytest_meshcheck.probe.framing import framed, next_message
from pytest_meshcheck.probe.messages import Call, Failed, Return

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that this process gets when its parent dies."""

FILES = 65_536
STREAM_LIMIT = 1 << 20


def main() -> None:
    """Run until standard input ends."""
    die_with_parent()
    open_as_many_as_allowed()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the controller, which then ends us.
    commands, replies = take_standard_streams()
    asyncio.run(converse(commands, replies))


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies, however that dies (Linux only).

    The signal comes when the thread that started us ends, so a controller starts probes from a thread that stays.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit("the controller ended while the probe started")


def open_as_many_as_allowed() -> None:
    """Raise the limit of open files to what this user may have: a load on a stalled server holds thousands."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, FILES) if most != resource.RLIM_INFINITY else FILES, most))


def take_standard_streams() -> tuple[BinaryIO, BinaryIO]:
    """Keep standard output for replies alone; whatever else is printed goes to standard error."""
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return os.fdopen(os.dup(0), "rb", buffering=0), replies


async def converse(commands: BinaryIO, replies: BinaryIO) -> None:
    """Carry out commands, each in a task of its own, until the stream of them ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=STREAM_LIMIT)
    protocol = asyncio.StreamReaderProtocol(reader)
    await loop.connect_read_pipe(lambda: protocol, commands)
    transport, flow = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, replies)
    writer = asyncio.StreamWriter(transport, flow, None, loop)
    decoder = msgspec.msgpack.Decoder(Call)
    agent = Agent()
    under_way: set[asyncio.Task[None]] = set()
    while (call := await next_message(reader, decoder)) is not None:
        task = asyncio.create_task(reply(agent, call, writer))
        under_way.add(task)
        task.add_done_callback(under_way.discard)


async def reply(agent: Agent, call: Call, writer: asyncio.StreamWriter) -> None:
    """Carry out one command and reply to it."""
    try:
        answer = await agent.obey(call.command)
    except Exception as error:  # noqa: BLE001  A defect of the probe must reach the controller, not end the others.
        traceback.print_exc()
        answer = Failed(f"{type(call.command).__name__}: {error!r}")
    writer.write(framed(Return(call.number, answer)))
