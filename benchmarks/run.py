"""The figures of the project, measured: ``python benchmarks/run.py [FIGURE ...] [--short] [--json FILE]``.

Each figure is printed with its bound and whether it holds; exit code 1 where one does not. Times are wall seconds of
whole processes unless said otherwise; medians, because machines are noisy. The short form takes every figure in less
than a minute: it proves that each can be measured, and holds no time, share or size against a bound.
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
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

from descendants import descendants, peak
from false_alarms import BUSY_LOOP, BUSY_LOOPS, DISK_AND_MEMORY, Load, false_alarms
from figure import Figure
from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.policy import Policy
from pytest_meshcheck.platforms.local.platform import Processes
from pytest_meshcheck.suite import Mode, MutualTls, Retry, WorkloadSpec
from pytest_meshcheck.testbed.convergence.cache import SWITCH
from pytest_meshcheck.testbed.mesh import MeshUnderTest
from suite_run import PYTEST, ROOT, timed

KNOWN_OF_ENVOY = ROOT / "conformance" / "expectations" / "envoy.toml"
"""The known violations of the embedded mesh, also under another name."""

STAMP = """
import time
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call():
    print("AT", time.time())
"""

LATE = """
from tests.late_mesh import Delays, registering

register = registering(Delays())

def pytest_meshcheck_register_mesh(registry):
    register(registry)
"""


@dataclass(frozen=True)
class Effort:
    """How thoroughly to measure.

    Attributes:
        first_checks: Runs up to their first check.
        waves: By what is selected of the suite, the arguments of pytest that select it.
        cached: The arguments of pytest that select what runs with and without the convergence cache.
        sampled: Seconds between two looks at the memory of all processes, which take time from the run looked at.
        pairs: Runs of pytest with the plugin installed but unused, each beside one without it.
        switches: Policies put in force, of each kind.
        deployments: Deployments, of each number of replicas.
        rate: Requests per second of the load.
        seconds: How long the load lasts.
        loads: What takes the machine from the suite.
        selected: The arguments of pytest that select what runs beside these.
        judges: Whether times, shares and sizes are held against their bounds.
    """

    first_checks: int
    waves: Mapping[str, tuple[str, ...]]
    cached: tuple[str, ...]
    sampled: float
    pairs: int
    switches: int
    deployments: int
    rate: float
    seconds: float
    loads: tuple[Load, ...]
    selected: tuple[str, ...]
    judges: bool

    def at_most(self, bound: float) -> float | None:
        """The bound of a time, a share or a size."""
        return bound if self.judges else None


WAVES = {"the suite": ()}
ONE_CHECK = ("-k", "mtls/protocol-floor")
FEW = {"mtls/protocol-floor": ONE_CHECK}
FULL = Effort(
    5,
    WAVES,
    (),
    sampled=4.0,
    pairs=15,
    switches=60,
    deployments=9,
    rate=500.0,
    seconds=10.0,
    loads=(BUSY_LOOPS, DISK_AND_MEMORY),
    selected=(),
    judges=True,
)
SHORT = Effort(
    1,
    FEW,
    ("-k", "retry/exhausted"),
    sampled=0.5,
    pairs=1,
    switches=3,
    deployments=1,
    rate=100.0,
    seconds=1.0,
    loads=(BUSY_LOOP,),
    selected=ONE_CHECK,
    judges=False,
)


PER_RESULT = 0.2
"""Seconds that a result may take: the suite grows with each check, so a bound of its whole time would only age."""
REPLICAS = {1: 0.3, 3: None}
"""Numbers of replicas that are deployed, with the bound in seconds; None: that time is only recorded."""


def commit() -> str:
    """The commit that is checked out, with a ``+`` where its files were changed; why it is unknown, where it is."""
    command = ["git", "describe", "--always", "--dirty=+"]
    try:
        described = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    except OSError as trouble:
        return f"unknown commit ({trouble})"
    return described.stdout.strip() or f"unknown commit ({described.stderr.strip()})"


def judged(*arguments: str, env: Mapping[str, str] = MappingProxyType({})) -> tuple[float, int]:
    """The seconds that a run of the suite takes, and how many results it has: a skipped test has none."""
    with tempfile.TemporaryDirectory() as directory:
        seconds, done = timed("-q", *arguments, f"--mesh-report={directory}", env=env)
    if done.returncode:
        raise SystemExit(f"the suite did not pass, so that its time means nothing:\n{done.stdout[-3000:]}")
    return seconds, sum(map(int, re.findall(r"(\d+) (?:passed|xfailed)", done.stdout.splitlines()[-1])))


def first_check(effort: Effort) -> Iterator[Figure]:
    """From ``pytest`` to the first check running."""
    name = f"first check running after (s), median of {effort.first_checks}"
    seconds = statistics.median(_first_check() for _ in range(effort.first_checks))
    yield Figure(name, seconds, effort.at_most(2.0))


def _first_check() -> float:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "stamp.py").write_text(STAMP, "utf-8")
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
    if not stamps:
        raise SystemExit(f"no check was run:\n{done.stdout[-3000:]}")
    return float(stamps[0]) - begun


def wave(effort: Effort) -> Iterator[Figure]:
    """The suite in one process and in two workers, and the memory of all processes of the former."""
    for name, selected in effort.waves.items():
        with peak(effort.sampled) as megabytes:
            alone, results = judged(*selected)
        together, _ = judged(*selected, "-n", "2")
        yield Figure(f"{name}, one process (s)", alone)
        yield Figure(f"{name}, one process, seconds per result", alone / results, effort.at_most(PER_RESULT))
        yield Figure(f"{name}, -n 2, share of the time of one process", together / alone, effort.at_most(0.65))
        yield Figure(f"{name}, memory, proportional set size (MB)", max(megabytes), effort.at_most(1000.0))


def cache(effort: Effort) -> Iterator[Figure]:
    """The suite with and without the convergence cache, on a mesh whose control plane changes policies 0.3 s late."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "late_plugin.py").write_text(LATE, "utf-8")
        path = os.pathsep.join([directory, str(ROOT)])
        for switch in ("on", "off"):
            late = ("-p", "late_plugin", "--mesh=late", f"--mesh-expectations={KNOWN_OF_ENVOY}")
            seconds, _ = judged(*effort.cached, *late, env={"PYTHONPATH": path, SWITCH: switch})
            yield Figure(f"a late mesh, convergence cache {switch} (s)", seconds)


def unused(effort: Effort) -> Iterator[Figure]:
    """What the plugin costs a run of pytest that selects no mesh."""
    cases = {"pytest --version": ["--version"], "an empty test file": ["-q", "test_empty.py"]}
    with tempfile.TemporaryDirectory() as directory:
        empty = Path(directory)
        (empty / "test_empty.py").write_text("", "utf-8")
        (empty / "pytest.ini").write_text("[pytest]\n", "utf-8")
        for case, arguments in cases.items():
            name = f"installed but unused, {case} (ms more than without), median of {effort.pairs}"
            seconds = statistics.median(_difference(arguments, empty) for _ in range(effort.pairs))
            yield Figure(name, seconds * 1000, effort.at_most(15.0))


def _difference(arguments: Sequence[str], cwd: Path) -> float:
    """The difference of a pair, one run right after the other, so that a drift of the machine's speed cancels out."""
    return timed(*arguments, cwd=cwd)[0] - timed("-p", "no:meshcheck", *arguments, cwd=cwd)[0]


def policy(effort: Effort) -> list[Figure]:
    """From a policy put in force to every data plane having it."""

    async def measure(mesh: MeshUnderTest) -> list[Figure]:
        server, _client = await asyncio.gather(mesh.workload("server"), mesh.workload("client"))
        kinds: Mapping[str, Policy] = {"a listener": MutualTls(server, Mode.STRICT), "a route": Retry(server, 2)}
        before = descendants()
        figures = []
        for changed, one in kinds.items():
            seconds = statistics.median([await _to_effect(mesh, one) for _ in range(effort.switches)])
            name = f"policy about {changed} to effect (ms), median of {effort.switches}"
            figures.append(Figure(name, seconds * 1000, effort.at_most(3.0)))
        started = len(descendants() - before)
        return [*figures, Figure("processes started by policy switches", started, 0)]

    return asyncio.run(_with_mesh(measure))


async def _to_effect(mesh: MeshUnderTest, policy: Policy) -> float:
    begun = time.monotonic()
    async with mesh.policy(policy):
        return time.monotonic() - begun


def deploy(effort: Effort) -> list[Figure]:
    """From a deployment to its replicas serving through their sidecars, beside a stage that runs."""

    async def measure(mesh: MeshUnderTest) -> list[Figure]:
        await asyncio.gather(mesh.workload("server"), mesh.workload("client"))
        figures = []
        for replicas, bound in REPLICAS.items():
            seconds = statistics.median([await _to_serving(mesh, replicas) for _ in range(effort.deployments)])
            name = f"deployment of {replicas} to serving (s), median of {effort.deployments}"
            figures.append(Figure(name, seconds, None if bound is None else effort.at_most(bound)))
        return figures

    return asyncio.run(_with_mesh(measure))


async def _to_serving(mesh: MeshUnderTest, replicas: int) -> float:
    begun = time.monotonic()
    async with mesh.deploy(WorkloadSpec("blue", "pool"), replicas):
        return time.monotonic() - begun


def load(effort: Effort) -> list[Figure]:
    """Open-loop load through two sidecars."""

    async def measure(mesh: MeshUnderTest) -> list[Figure]:
        server, client = await asyncio.gather(mesh.workload("server"), mesh.workload("client"))
        async with client.load(server, effort.rate) as running:
            await asyncio.sleep(effort.seconds)
        outcome = running.result
        bad = len(outcome.failed) + len(outcome.lost) + len(outcome.duplicated)
        return [
            Figure(f"requests sent at {effort.rate:g}/s for {effort.seconds:g} s", outcome.sent),
            Figure("arrivals behind their schedule (ms), p99", outcome.lateness.p99 * 1000, effort.at_most(50.0)),
            Figure("arrivals behind their schedule (ms), worst", outcome.lateness.max * 1000),
            Figure("latency from due to answered (ms), p50", outcome.latency.p50 * 1000),
            Figure("latency from due to answered (ms), p99", outcome.latency.p99 * 1000),
            Figure("failed, lost or doubled", bad, 0),
        ]

    return asyncio.run(_with_mesh(measure))


def beside_load(effort: Effort) -> Iterator[Figure]:
    """The false alarms of the suite on a starved machine."""
    return false_alarms(effort.loads, effort.selected)


async def _with_mesh(measure: Callable[[MeshUnderTest], Awaitable[list[Figure]]]) -> list[Figure]:
    adapter, platform = EnvoyMesh(), Processes(Journal())
    mesh = MeshUnderTest(adapter, platform)
    try:
        await adapter.install(platform)
        return await measure(mesh)
    finally:
        await mesh.close()


FIGURES: dict[str, Callable[[Effort], Iterable[Figure]]] = {
    "first-check": first_check,
    "wave": wave,
    "cache": cache,
    "unused": unused,
    "policy": policy,
    "deploy": deploy,
    "load": load,
    "false-alarms": beside_load,
}
TAKES_HOURS = "false-alarms"
"""The figure that is measured only where it is named, or in the short form."""


def main() -> int:
    """Measure what was asked for, print it, and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = f"which; by default all but {TAKES_HOURS}, which takes hours"
    parser.add_argument("figure", nargs="*", choices=[*FIGURES, []], help=which)
    parser.add_argument("--short", action="store_true", help="every figure in less than a minute, times without bounds")
    parser.add_argument("--json", type=Path, default=Path("benchmarks.json"), help="where the results go")
    arguments = parser.parse_args()
    at = commit()
    print(f"measured at {at}", flush=True)
    results = []
    for name in arguments.figure or [name for name in FIGURES if arguments.short or name != TAKES_HOURS]:
        for figure in FIGURES[name](SHORT if arguments.short else FULL):
            print(figure, flush=True)
            results.append(figure)
    written = [asdict(figure) | {"holds": figure.holds, "commit": at} for figure in results]
    arguments.json.write_text(json.dumps(written, indent=2) + "\n", "utf-8")
    return 0 if all(figure.holds for figure in results) else 1


if __name__ == "__main__":
    sys.exit(main())
