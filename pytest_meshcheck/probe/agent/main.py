"""The program.

Without arguments it is a child: it reads commands from standard input, replies on standard output, and lives no longer
than its parent. With ``--fork-server`` it forks such children on request. With ``--socket`` it takes controllers on a
Unix socket until it gets SIGTERM. With ``--serve`` it serves ports from its start, as applications do. With ``--first``
it sends a request as the first thing that it does.
"""

import argparse
import asyncio
import ctypes
import os
import signal
import socket
import sys
from pathlib import Path
from typing import BinaryIO

from pytest_meshcheck.probe.agent.arguments import NONE, decoded, ports_of
from pytest_meshcheck.probe.agent.control_session import ControlSession
from pytest_meshcheck.probe.agent.control_socket import serve
from pytest_meshcheck.probe.agent.fork_server import ForkServer
from pytest_meshcheck.probe.process.limits import open_as_many_as_allowed
from pytest_meshcheck.probe.process.pipes import streams
from pytest_meshcheck.probe.protocol.messages import Request

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that this process gets when its parent dies."""


def main() -> None:
    """Run until standard input ends, or with ``--socket`` until SIGTERM."""
    arguments = _arguments()
    open_as_many_as_allowed()
    if arguments.socket:
        asyncio.run(serve(arguments.socket, arguments.drain, decoded(arguments.first), ports_of(arguments.serve)))
    elif not arguments.fork_server:
        be_a_child(arguments.first)
    elif first := fork_on_request():
        be_a_child(first)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m pytest_meshcheck.probe", description=__doc__)
    parser.add_argument("--socket", type=Path, help="take controllers on this Unix socket")
    parser.add_argument("--drain", type=float, default=1.0, help="seconds to go on serving after SIGTERM")
    parser.add_argument("--first", default=NONE, help="a request, as JSON, to send at once")
    parser.add_argument("--serve", default="[]", help="ports, as JSON, to serve at once")
    parser.add_argument("--fork-server", action="store_true", help="fork probes as asked on standard input, a socket")
    return parser.parse_args()


def fork_on_request() -> bytes:
    """Fork children on request: in each of them its first request, empty once standard input has ended."""
    belong_to_controller()
    return ForkServer(socket.socket(fileno=0)).serve()


def be_a_child(first: str | bytes) -> None:
    """Send the first request, where there is one, and run until standard input ends."""
    belong_to_controller()
    commands, replies = take_standard_streams()
    asyncio.run(converse(commands, replies, decoded(first)))


def belong_to_controller() -> None:
    """Live no longer than it, and leave Ctrl-C to it."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


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


def take_standard_streams() -> tuple[BinaryIO, BinaryIO]:
    """Keep standard output for replies alone; whatever else is printed goes to standard error."""
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return os.fdopen(os.dup(0), "rb", buffering=0), replies


async def converse(commands: BinaryIO, replies: BinaryIO, first: Request | None) -> None:
    """Carry out commands until the stream of them ends."""
    await ControlSession(first).over(*await streams(commands, replies))
