"""The processes that a measurement starts, and their memory."""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def peak(sampled: float) -> Iterator[list[float]]:
    """The megabytes of all descendants of this process, looked at every so many seconds while the block runs."""
    megabytes: list[float] = []
    over = threading.Event()

    def sample() -> None:
        while not over.wait(sampled):
            megabytes.append(sum(map(_proportional_kilobytes, descendants())) / 1000)

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield megabytes
    finally:
        over.set()
        sampler.join()


def descendants() -> set[int]:
    """The ids of all descendants of this process."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text("utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found: set[int] = set()
    open_ = [os.getpid()]
    while open_:
        new = children.get(open_.pop(), [])
        found.update(new)
        open_ += new
    return found


def _proportional_kilobytes(process: int) -> int:
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text("utf-8")
    except OSError:
        return 0
    match = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(match[1]) if match else 0
