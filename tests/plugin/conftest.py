"""Small suites of checks, and runs of pytest over them."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

# A pytest run inside of this process forgets what it imported, and some of it can be loaded only once.
import pytest_meshcheck.report.writer
import pytest_meshcheck.run.cluster
import pytest_meshcheck.run.start
import pytest_meshcheck.testbed.mesh  # noqa: F401 - see above
from pytest_meshcheck.suite import ON_CLUSTER, __all__ as public
from tests.forked import FORKED

REQUIREMENTS = """
[demo.rule]
text = "A mesh MUST do what it says."
sources = [{ title = "The rule", url = "https://example.org/rule" }]
"""

NAMES = ", ".join(name for name in public if name not in ON_CLUSTER)
"""What checks import: all public names but those that would load Kubernetes clients in every run."""

IMPORTS = f"""
import asyncio, os, pathlib, select, signal
import pytest
from pytest_meshcheck.suite import {NAMES}
"""

CHECKS = {
    "conforms": '''
@check(MUST, "demo.rule")
async def test_conforms(mesh):
    """It does."""
    expect(1).equals(1)
''',
    "violates": '''
@check(MUST, "demo.rule")
async def test_violates(mesh):
    """It does not."""
    expect(1, "one").equals(2)
''',
    "inconclusive": '''
@check(MUST, "demo.rule")
async def test_inconclusive(mesh):
    """Nobody knows."""
    control(1).equals(2)
''',
    "unsupported": '''
@check(MUST, "demo.rule", proves={Capability.KUBERNETES})
async def test_unsupported(mesh):
    """It needs a cluster."""
    expect(1).equals(2)
''',
    "served": '''
@check(MUST, "demo.rule", proves={Capability.STRICT_MTLS})
async def test_served(mesh, client, server):
    """An enrolled client is served under strict mutual TLS."""
    async with mesh.policy(MutualTls(server, Mode.STRICT)):
        expect(await client.get(server)).answered()
''',
    "refused": '''
@check(MUST, "demo.rule", proves={Capability.STRICT_MTLS})
async def test_refused(mesh, outsider, server):
    """An outsider is refused under strict mutual TLS."""
    async with mesh.policy(MutualTls(server, Mode.PERMISSIVE)):
        control(await outsider.get(server)).answered()
    async with mesh.policy(MutualTls(server, Mode.STRICT)):
        expect(await outsider.get(server)).refused(mesh.documented.mtls.plaintext_refused_as)
''',
    "parameters": '''
@pytest.mark.parametrize("size", [1, 2, 3])
@check(SHOULD, "demo.rule")
async def test_parameters(mesh, size):
    """It does for every size."""
    expect(size).at_most(2)
''',
}
"""Checks by what becomes of them."""

INI = "[pytest]\nasyncio_default_fixture_loop_scope = session\n"

Quick = Callable[..., pytest.RunResult]
PATIENCE = 60.0
TOKEN = "MESHCHECK_TEST_RUN"
NO_CACHE = ("-p", "no:cacheprovider")


@dataclass(frozen=True)
class Finished:
    """A run of pytest that has ended."""

    code: int
    output: str

    def has(self, *texts: str) -> bool:
        """Whether all of these texts were printed; prints what was, for a failing test to show."""
        print(self.output)
        return all(text in self.output for text in texts)


@dataclass
class Suite:
    """A suite of checks in a folder of its own, and runs over it, each a process with a session of its own.

    Every process of a run is known by a token in its environment.
    """

    path: Path
    temporary: Path
    token: str = field(default_factory=lambda: secrets.token_hex(8))

    def write(self, *checks: str, conftest: str = "", **files: str) -> "Suite":
        """Replace the suite: ``CHECKS`` by name, or the text of others; file names end in ``_`` and their suffix."""
        folder = self.path / "demo"
        folder.mkdir(exist_ok=True)
        (self.path / "requirements.toml").write_text(REQUIREMENTS)
        if checks:
            texts = [textwrap.dedent(CHECKS.get(check, check)) for check in checks]
            (folder / "test_demo.py").write_text(IMPORTS + "".join(texts))
        for name, text in {"pytest_ini": INI, "conftest_py": conftest, **files}.items():
            stem, _, suffix = name.rpartition("_")
            (self.path / f"{stem}.{suffix}").write_text(textwrap.dedent(text))
        return self

    def start(self, *args: str, within: Sequence[str] = (), **env: str) -> "subprocess.Popen[str]":
        """Start a run, by the command ``within`` where one is given; standard error comes with standard output."""
        return subprocess.Popen(
            [*within, sys.executable, "-m", "pytest", *NO_CACHE, *args],
            cwd=self.path,
            env=self._environment(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *args: str, mesh: str = "envoy", within: Sequence[str] = (), **env: str) -> Finished:
        """Run to the end; without a command or a variable that is about interpreters, in a fork."""
        if within or any(name.startswith("PYTHON") for name in env):
            return self.finish(self.start(f"--mesh={mesh}", *args, within=within, **env))
        code, output = FORKED.run((*NO_CACHE, f"--mesh={mesh}", *args), self.path, self._environment(env), PATIENCE)
        if code is None:
            pytest.fail(f"the run did not end within {PATIENCE} s:\n{output}")
        return Finished(code, output)

    def finish(self, process: "subprocess.Popen[str]") -> Finished:
        """Wait for the end of a run."""
        try:
            output, _ = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            pytest.fail(f"the run did not end within {PATIENCE} s:\n{output}")
        return Finished(process.returncode, output)

    @property
    def directory(self) -> Path:
        """Where the report on the embedded mesh is."""
        (found,) = (self.path / "meshcheck-report").glob("envoy-*")
        return found

    def report(self) -> dict[str, Any]:
        """The content of report.json."""
        content: dict[str, Any] = json.loads((self.directory / "report.json").read_text())
        return content

    def results(self) -> dict[str, dict[str, Any]]:
        """The results by the check's id."""
        return {result["id"]: result for result in self.report()["results"]}

    def verdicts(self) -> dict[str, str]:
        """The verdicts by the check's id."""
        return {name: result["verdict"] for name, result in self.results().items()}

    def processes(self) -> list[str]:
        """The command lines of what still runs of any run over this suite."""
        return [_command(process) for process in Path("/proc").glob("[0-9]*") if self._is_ours(process)]

    def is_gone(self, within: float = 10.0) -> bool:
        """Whether no process is left after so many seconds."""
        end = time.monotonic() + within
        while self.processes() and time.monotonic() < end:
            time.sleep(0.02)
        return not self.processes()

    def run_directories(self) -> list[Path]:
        """What runs have left where temporary files go."""
        return [path for path in self.temporary.iterdir() if "meshcheck" in path.name]

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "GITHUB", "COV"))}
        return {**inherited, "TMPDIR": str(self.temporary), TOKEN: self.token, **more}

    def _is_ours(self, process: Path) -> bool:
        try:
            return f"{TOKEN}={self.token}".encode() in (process / "environ").read_bytes()
        except OSError:
            return False


def _command(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


@pytest.fixture(scope="session", autouse=True)
def forks(forked_runs: None) -> None:
    """Starts the process that ``Suite.run`` forks."""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> Iterator[Suite]:
    """A suite where pytester runs."""
    yield from _made(pytester.path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """A suite for all tests of a module, to be run once and looked at often."""
    yield from _made(tmp_path_factory.mktemp("shared"))


def _made(path: Path) -> Iterator[Suite]:
    # The path of a Unix socket may have 107 bytes, fewer than a path of pytest's often has.
    temporary = Path(tempfile.mkdtemp(prefix="mc-"))
    suite = Suite(path, temporary)
    yield suite
    left = suite.processes()
    shutil.rmtree(temporary)
    assert not left, f"still running: {left}"


@pytest.fixture
def quick(suite: Suite, pytester: pytest.Pytester) -> Quick:
    """Runs pytest over the suite inside of this process: quick, for what needs no process of its own."""

    def run(*args: str) -> pytest.RunResult:
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", *args)

    return run
