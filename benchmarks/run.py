"""The figures of the project, measured: ``python benchmarks/run.py [FIGURE ...] [--json FILE]``.

Each figure is printed with its bound and whether it holds; exit code 1 where one does not. Times are wall seconds of
whole processes unless said otherwise; medians, because machines are noisy.
"""

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pytest_meshcheck.judge.subject import MeshUnderTest
from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.platforms.processes import Processes
from pytest_meshcheck.stage.journal import Journal
from pytest_meshcheck.suite import Mode, MutualTls

ROOT = Path(__file__).resolve().parent.parent
PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider")


SAMPLED = 4.0
"""Seconds between two looks at the memory of all processes, which take time from the run that they look at."""

STAMP = """
import time
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call():
    print("AT", time.time())
"""


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes:
        name: What was measured, with its unit.
        value: What came out.
        bound: What it is held against; None where it is only recorded.
    """

    name: str
    value: float
    bound: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the value is within the bound."""
        return self.bound is None or self.value <= self.bound

    def __str__(self) -> str:
        bound = "" if self.bound is None else f"  {'holds' if self.holds else 'FAILS'}: at most {self.bound:g}"
        return f"{self.name:<72} {self.value:>10.4g}{bound}"


def timed(*arguments: str, cwd: Path = ROOT) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Run pytest and take its time."""
    begun = time.monotonic()
    done = subprocess.run([*PYTEST, *arguments], cwd=cwd, capture_output=True, encoding="utf-8", check=False)
    return time.monotonic() - begun, done


def first_check() -> list[Figure]:
    """From ``pytest`` to the first check running."""
    seconds = []
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "stamp.py").write_text(STAMP, "utf-8")
        for _ in range(5):
            begun = time.time()
            done = subprocess.run(
                [*PYTEST, "-p", "stamp", "-s", "-x", "-k", "identity/server-sees", f"--mesh-report={directory}"],
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": directory},
                capture_output=True,
                encoding="utf-8",
                check=False,
            )
            stamps = re.findall(r"AT ([\d.]+)", done.stdout)
            seconds.append(float(stamps[0]) - begun)
    return [Figure("first check running after (s), median of 5", statistics.median(seconds), 2.0)]


def wave() -> list[Figure]:
    """The first wave in one process, in two workers, and the memory of all its processes."""
    with tempfile.TemporaryDirectory() as directory:
        peak = Peak()
        with peak:
            alone, done = timed("-q", f"--mesh-report={directory}")
        _expect_success(done)
        together, done = timed("-q", "-n", "2", f"--mesh-report={directory}")
        _expect_success(done)
        short = ("-q", "-k", "not timeout/unset", f"--mesh-report={directory}")
        alone_short, _ = timed(*short)
        together_short, _ = timed(*short, "-n", "2")
    return [
        Figure("first wave, one process (s)", alone, 20.0),
        Figure("first wave, -n 2, part of one process", together / alone, 0.6),
        Figure("first wave without the check that waits 15.5 s, one process (s)", alone_short),
        Figure("the same with -n 2, part of one process", together_short / alone_short, 0.6),
        Figure("memory of the whole run, proportional set size (MB)", peak.megabytes, 1000.0),
    ]


def unused() -> list[Figure]:
    """What the plugin costs a run of pytest that selects no mesh."""
    with tempfile.TemporaryDirectory() as directory:
        empty = Path(directory)
        (empty / "test_empty.py").write_text("", "utf-8")
        (empty / "pytest.ini").write_text("[pytest]\n", "utf-8")
        cases = {"pytest --version": ["--version"], "an empty test file": ["-q", "test_empty.py"]}
        return [
            Figure(f"installed but unused, {name} (ms more than without)", _difference(arguments, empty) * 1000, 15.0)
            for name, arguments in cases.items()
        ]


def _difference(arguments: Sequence[str], cwd: Path) -> float:
    """The median difference of pairs, run in turn, so that a drift of the machine's speed cancels out."""
    pairs = [timed(*arguments, cwd=cwd)[0] - timed("-p", "no:meshcheck", *arguments, cwd=cwd)[0] for _ in range(15)]
    return statistics.median(pairs)


def policy() -> list[Figure]:
    """From a policy applied to every data plane going by it."""
    return asyncio.run(_policy())


async def _policy() -> list[Figure]:
    async def measure(mesh: MeshUnderTest) -> list[Figure]:
        server, _client = await asyncio.gather(mesh.workload("server"), mesh.workload("client"))
        before = _processes()
        seconds = []
        for number in range(60):
            mode = Mode.STRICT if number % 2 else Mode.PERMISSIVE
            manifests = mesh.adapter.render(MutualTls(server, mode))
            begun = time.monotonic()
            await mesh.platform.apply(manifests)
            await mesh.adapter.settled()
            seconds.append(time.monotonic() - begun)
        started = len(_processes() - before)
        return [
            Figure("policy to effect (ms), median of 60", statistics.median(seconds) * 1000, 10.0),
            Figure("processes started by policy switches", started, 0),
        ]

    return await _with_mesh(measure)


def load() -> list[Figure]:
    """Open-loop load through two sidecars."""
    return asyncio.run(_load(rate=500.0, seconds=10.0))


async def _load(rate: float, seconds: float) -> list[Figure]:
    async def measure(mesh: MeshUnderTest) -> list[Figure]:
        server, client = await asyncio.gather(mesh.workload("server"), mesh.workload("client"))
        async with client.load(server, rate) as running:
            await asyncio.sleep(seconds)
        outcome = running.result
        bad = len(outcome.failed) + len(outcome.lost) + len(outcome.duplicated)
        return [
            Figure(f"requests sent at {rate:g}/s for {seconds:g} s", outcome.sent),
            Figure("arrivals behind their schedule (ms), p99", outcome.lateness.p99 * 1000, 50.0),
            Figure("arrivals behind their schedule (ms), worst", outcome.lateness.max * 1000),
            Figure("latency from due to answered (ms), p50", outcome.latency.p50 * 1000),
            Figure("latency from due to answered (ms), p99", outcome.latency.p99 * 1000),
            Figure("failed, lost or doubled", bad, 0),
        ]

    return await _with_mesh(measure)


async def _with_mesh(measure: Callable[[MeshUnderTest], Awaitable[list[Figure]]]) -> list[Figure]:
    adapter, platform = EnvoyMesh(), Processes(Journal())
    mesh = MeshUnderTest(adapter, platform)
    try:
        await adapter.install(platform)
        return await measure(mesh)
    finally:
        await mesh.close()


class Peak:
    """The greatest memory of this process's descendants, sampled while the block runs."""

    def __init__(self) -> None:
        self.megabytes = 0.0
        self._over = threading.Event()
        self._sampler = threading.Thread(target=self._sample)

    def __enter__(self) -> None:
        self._sampler.start()

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._sampler.join()

    def _sample(self) -> None:
        while not self._over.wait(SAMPLED):
            self.megabytes = max(self.megabytes, sum(map(_proportional_kilobytes, _processes())) / 1000)


def _processes() -> set[int]:
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


def _expect_success(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode:
        raise SystemExit(f"the suite did not pass, so that its time means nothing:\n{done.stdout[-3000:]}")


FIGURES = {"first-check": first_check, "wave": wave, "unused": unused, "policy": policy, "load": load}


def main() -> int:
    """Measure what was asked for, print it, and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", nargs="*", choices=[*FIGURES, []], help="which; all by default")
    parser.add_argument("--json", type=Path, default=Path("benchmarks.json"), help="where the results go")
    arguments = parser.parse_args()
    results = []
    for name in arguments.figure or FIGURES:
        for figure in FIGURES[name]():
            print(figure, flush=True)
            results.append(figure)
    arguments.json.write_text(
        json.dumps([asdict(figure) | {"holds": figure.holds} for figure in results], indent=2), "utf-8"
    )
    return 0 if all(figure.holds for figure in results) else 1


if __name__ == "__main__":
    sys.exit(main())
