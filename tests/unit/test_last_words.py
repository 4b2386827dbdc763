"""Of a log that ends in a stack trace, the line that says why is quoted."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from pytest_meshcheck.platforms.children import spawn
from pytest_meshcheck.platforms.last_words import last_words

ENVOY = """\
[2026-11-27 09:00:00.100][7][info][main] [source/server/server.cc:1060] starting main dispatch loop
[2026-11-27 09:00:00.200][7][critical][assert] [source/common/filesystem/inotify/watcher_impl.cc:25] \
assert failure: inotify_fd_ >= 0. Details: Consider increasing value of user.max_inotify_instances via sysctl
[2026-11-27 09:00:00.201][7][critical][backtrace] [./source/server/backtrace.h:127] Caught Aborted, suspect address 0x1
[2026-11-27 09:00:00.202][7][critical][backtrace] [./source/server/backtrace.h:111] Backtrace:
[2026-11-27 09:00:00.203][7][critical][backtrace] [./source/server/backtrace.h:121] #0: [0x7f]
"""

PYTHON = """\
starting
Traceback (most recent call last):
  File "a.py", line 1, in <module>
KeyError: 'first'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 3, in <module>
    raise OSError("no address is left")
OSError: no address is left
sys:1: ResourceWarning: unclosed file
"""

RUST = "INFO ready\nthread 'main' panicked at src/main.rs:3:5:\nno room\nnote: run with RUST_BACKTRACE=1\n"


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (ENVOY, "its log says: [2026-11-27 09:00:00.200][7][critical][assert]"),
        (PYTHON, "its log says: OSError: no address is left"),
        (
            "I0101 ready\npanic: runtime error: index out of range\n\ngoroutine 1 [running]:\n",
            "its log says: panic: run",
        ),
        (RUST, "its log says: thread 'main' panicked at src/main.rs:3:5: no room"),
        ("a\nlast\n\n", "its log does not say why, and ends: last"),
        ("", "its log is empty"),
        ("\n\n", "its log is empty"),
    ],
    ids=["envoy", "python", "go", "rust", "silent", "empty", "blank"],
)
def test_the_line_that_says_why_is_quoted(log: str, words: str) -> None:
    assert last_words(log).startswith(words)
    assert "\n" not in last_words(log)


def test_a_key_is_not_quoted() -> None:
    key = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE[critical]\n-----END EC PRIVATE KEY-----"
    assert last_words(f"start\n{key}\n") == "its log does not say why, and ends: [private key]"


def test_a_long_line_is_cut() -> None:
    assert len(last_words(f"panic: {'x' * 9000}")) < 600


@pytest.mark.asyncio
async def test_the_words_of_an_earlier_process_are_not_quoted(tmp_path: Path) -> None:
    for name in ("first", "second"):
        program = f"raise SystemExit('CRITICAL {name}')"
        child = await spawn(
            "probe", [sys.executable, "-c", program], tmp_path / "log", env=dict(os.environ), cwd=tmp_path
        )
        await asyncio.wait_for(child.process.wait(), 60)
        assert child.obituary() == f"the probe died (exit code 1); its log says: CRITICAL {name}"
