"""False alarms: verdicts of the suite on the embedded mesh beside programs that take its processors, memory and disk.

Nothing is planted, so a violation that is not known, or a known one that is not seen, is the fault of the suite.
"""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from figure import Figure
from pytest_meshcheck.checks.verdict import Verdict
from suite_run import timed

PROCESSOR = "while True: pass"
MEMORY = "while True: b'x' * 2**29"
DISK = """
import os
block = os.urandom(2**20)
while True:
    with open(f"load-{os.getpid()}", "wb") as file:
        for _ in range(256):
            file.write(block)
        os.fsync(file.fileno())
"""
FALSE = {Verdict.VIOLATES, Verdict.FIXED}
CONCLUSIVE = {Verdict.CONFORMS, Verdict.KNOWN_VIOLATION, *FALSE}
AT_ONCE = 5
"""Runs that share the machine, each of which starves the others further."""
INCONCLUSIVE_SHARE = 0.01
"""The share of checks that may be inconclusive on a starved machine."""


@dataclass(frozen=True)
class Load:
    """What runs beside the suite.

    Attributes:
        name: What it is called.
        processes: Programs in Python, with the number of processes that run each.
        runs: How often the suite runs beside it.
    """

    name: str
    processes: Mapping[str, int]
    runs: int

    @contextmanager
    def running(self) -> Iterator[None]:
        """The load runs while the block does."""
        with ExitStack() as stack:
            scratch = stack.enter_context(tempfile.TemporaryDirectory())
            for program, number in self.processes.items():
                for _ in range(number):
                    process = stack.enter_context(subprocess.Popen([sys.executable, "-c", program], cwd=scratch))
                    stack.callback(process.kill)
            yield


BUSY_LOOPS = Load("twenty busy loops", {PROCESSOR: 20}, runs=30)
DISK_AND_MEMORY = Load("disk and memory load", {DISK: 4, MEMORY: 4}, runs=10)
BUSY_LOOP = Load("a busy loop", {PROCESSOR: 1}, runs=1)


def false_alarms(loads: tuple[Load, ...], selected: tuple[str, ...]) -> Iterator[Figure]:
    """The false verdicts of the suite beside each load, and the share of checks without a verdict.

    Args:
        loads: One after the other.
        selected: The arguments of pytest that select a part of the suite.
    """
    for load in loads:
        with load.running(), ThreadPoolExecutor(AT_ONCE) as pool:
            names = (f"{load.name}, run {number + 1}" for number in range(load.runs))
            verdicts = sum(pool.map(lambda name: _verdicts(name, selected), names), Counter[Verdict]())
        judged, inconclusive = sum(verdicts[one] for one in CONCLUSIVE), verdicts[Verdict.INCONCLUSIVE]
        name = f"beside {load.name}, runs {load.runs}:"
        yield Figure(f"{name} conclusive results", judged)
        yield Figure(f"{name} false verdicts", sum(verdicts[one] for one in FALSE), 0)
        yield Figure(
            f"{name} share of inconclusive results", inconclusive / (judged + inconclusive), INCONCLUSIVE_SHARE
        )


def _verdicts(name: str, selected: tuple[str, ...]) -> Counter[Verdict]:
    """The verdicts of one run, counted; false and inconclusive ones are printed."""
    with tempfile.TemporaryDirectory() as directory:
        seconds, done = timed("-q", *selected, f"--mesh-report={directory}")
        reports = list(Path(directory).glob("*/report.json"))
        if not reports:
            raise SystemExit(f"{name} wrote no report:\n{done.stdout[-3000:]}")
        results = json.loads(reports[0].read_text("utf-8"))["results"]
    verdicts = Counter(Verdict(result["verdict"]) for result in results)
    counts = ", ".join(f"{number} {verdict}" for verdict, number in sorted(verdicts.items()))
    print(f"{name}: {counts} in {seconds:.0f} s", flush=True)
    for result in results:
        if result["verdict"] in {Verdict.INCONCLUSIVE, *FALSE}:
            print(f"  {result['verdict']} {result['id']}: {result['reason'] or result['actual']}", flush=True)
    return verdicts
