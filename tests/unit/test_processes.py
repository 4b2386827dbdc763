"""The platform of local processes: what it takes, what it leaves behind, what it says when something dies."""

import asyncio
import gc
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.observation import Ending
from pytest_meshcheck.model.workload_spec import Enrolment, FirstCall, WorkloadSpec
from pytest_meshcheck.platforms.base import Interval, Metadata
from pytest_meshcheck.platforms.local import addresses, process_table
from pytest_meshcheck.platforms.local.addresses import (
    MOST_WORKLOADS,
    PORT_BASES,
    PORT_SPAN,
    AddressPlan,
    Member,
    next_number,
)
from pytest_meshcheck.platforms.local.platform import Processes
from pytest_meshcheck.platforms.run_directory import RunDirectory, remove_dead_runs
from pytest_meshcheck.probe.process.pulse import now
from tests import clocks

OUTSIDER = WorkloadSpec("grey", "outsider", Enrolment.UNENROLLED)
PLAIN = Metadata()
BYSTANDER = WorkloadSpec("grey", "bystander", Enrolment.UNENROLLED)


def left_in(directory: Path) -> list[Path]:
    return list(directory.iterdir())


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[1])


@pytest_asyncio.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Processes]:
    platform = Processes(Journal(), tmp_path)
    yield platform
    await platform.close()


@pytest.mark.asyncio
async def test_workloads_without_a_mesh_reach_each_other(platform: Processes) -> None:
    outsider, bystander = await asyncio.gather(platform.start(OUTSIDER, PLAIN), platform.start(BYSTANDER, PLAIN))
    exchange = await outsider.get(bystander)
    assert exchange.status == 200
    assert len(await bystander.attempts(exchange)) == 1


@pytest.mark.asyncio
@pytest.mark.skipif(bool(clocks.lacking()), reason=clocks.lacking())
@pytest.mark.parametrize("seconds", [-100, 100])
async def test_a_connection_that_says_nothing_is_seen_whatever_the_clocks(
    platform: Processes, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    outsider = await platform.start(OUTSIDER, PLAIN)
    monkeypatch.setattr(process_table, "PROBE", (*clocks.ahead(seconds), *process_table.PROBE))
    bystander = await platform.start(BYSTANDER, PLAIN)
    for earlier in range(3):
        exchange = await outsider.get(bystander, "tcp", raw=b"no id")
        (attempt,) = await bystander.attempts(exchange)
        assert abs(abs(attempt.arrived - exchange.started) - 100) < 50
        assert attempt.request_id == "", f"after {earlier} others"


@pytest.mark.asyncio
async def test_a_recording_sees_what_is_sent_in_the_clear(platform: Processes) -> None:
    outsider, bystander = await asyncio.gather(platform.start(OUTSIDER, PLAIN), platform.start(BYSTANDER, PLAIN))
    async with platform.wire(outsider, bystander, "http") as wire:
        await outsider.get(bystander, headers=(("x-canary", "sesame"),))
        captured = await wire.look_for("sesame", "absent")
    assert captured.found == ("sesame",)
    assert captured.connections == 1
    direct = await outsider.get(bystander)
    assert direct.remote == platform.members["grey/bystander"].data_plane("http")


@pytest.mark.asyncio
async def test_a_name_is_taken_once(platform: Processes) -> None:
    await platform.start(OUTSIDER, PLAIN)
    with pytest.raises(ValueError, match="grey/outsider runs already"):
        await platform.start(OUTSIDER, PLAIN)


@pytest.mark.asyncio
async def test_a_stopped_workload_is_gone_and_can_be_started_again(platform: Processes) -> None:
    outsider, bystander = await asyncio.gather(platform.start(OUTSIDER, PLAIN), platform.start(BYSTANDER, PLAIN))
    request = outsider.request(bystander)
    await platform.stop(bystander.spec)
    await platform.stop(bystander.spec)
    with socket.socket() as caller, pytest.raises(ConnectionRefusedError):
        caller.connect(request.address)
    again = await platform.start(BYSTANDER, PLAIN)
    assert (await outsider.get(again)).ending is Ending.ANSWERED


@pytest.mark.asyncio
async def test_a_probe_that_dies_is_named_with_the_signal(platform: Processes) -> None:
    outsider = await platform.start(OUTSIDER, PLAIN)
    child = next(child for child in platform.processes.children if child.name == "probe of grey/outsider")
    os.kill(child.process.pid, signal.SIGKILL)
    await child.process.wait()
    with pytest.raises(Inconclusive, match=r"probe of grey/outsider died \(signal SIGKILL\)"):
        platform.check()
    with pytest.raises(Inconclusive, match="grey/outsider"):
        await outsider.answers(200)


@pytest.mark.asyncio
async def test_a_probe_that_cannot_start_leaves_no_workload(
    platform: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "pytest_meshcheck.platforms.local.process_table.PROBE", (sys.executable, "-c", "raise OSError('no room')")
    )
    with pytest.raises(Inconclusive, match=r"^the fork server died \(exit code 1\); its log says: OSError: no room$"):
        await platform.start(OUTSIDER, PLAIN)
    assert platform.members == {}
    platform.check()


class Unwilling:
    """A control plane that admits nobody."""

    async def admit(self, member: Member) -> None:
        raise Inconclusive(f"no place for {member}")

    async def dismiss(self, member: Member) -> None:
        """It has nothing of it."""


@pytest.mark.asyncio
async def test_a_probe_is_not_started_on_for_a_workload_that_is_not_admitted(platform: Processes) -> None:
    platform.control_plane = Unwilling()  # type: ignore[assignment]
    with pytest.raises(Inconclusive, match="no place for grey/outsider"):
        await platform.start(OUTSIDER, PLAIN)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert platform.processes.children == []


@pytest.mark.asyncio
async def test_a_job_ends_by_itself_and_is_no_loss(platform: Processes) -> None:
    job, pid = await platform.start(OUTSIDER, PLAIN), platform.processes.children[0].process.pid
    assert await platform.finish(job, 1.0) == ""
    assert not alive(pid)
    assert platform.members == {}
    await platform.ensure_alive()
    await platform.stop(OUTSIDER)
    assert (await platform.start(OUTSIDER, PLAIN)).spec == OUTSIDER


@pytest.mark.asyncio
async def test_a_job_that_fails_is_told_from_one_that_ends(platform: Processes) -> None:
    job, process = await platform.start(OUTSIDER, PLAIN), platform.processes.children[0].process
    process.kill()
    await process.wait()
    with pytest.raises(Inconclusive, match="the probe of grey/outsider ended with exit code -9 in place of 0"):
        await platform.finish(job, 1.0)


class Slow:
    """A control plane that takes its time, and notes who runs when it has admitted a workload."""

    def __init__(self, platform: Processes) -> None:
        self.seen: list[list[str]] = []
        self._platform = platform

    async def admit(self, member: Member) -> None:
        await asyncio.sleep(0.1)
        self.seen.append([child.name for child in self._platform.processes.children])

    async def dismiss(self, member: Member) -> None:
        """It has nothing of it."""


@pytest.mark.asyncio
async def test_an_application_that_calls_at_once_starts_when_it_is_admitted(platform: Processes) -> None:
    bystander = await platform.start(BYSTANDER, PLAIN)
    platform.control_plane = slow = Slow(platform)  # type: ignore[assignment]
    caller = await platform.start(replace(OUTSIDER, first_call=FirstCall(BYSTANDER)), PLAIN)
    assert slow.seen == [["probe of grey/bystander"]]
    first = await caller.first_exchange()
    assert first.status == 200
    assert len(await bystander.attempts(first)) == 1
    with pytest.raises(Inconclusive, match="grey/bystander was started without a first call"):
        await bystander.first_exchange()


@pytest.mark.asyncio
async def test_closing_leaves_nothing(tmp_path: Path) -> None:
    platform = Processes(Journal(), tmp_path)
    await platform.start(OUTSIDER, PLAIN)
    pids = [pid for child in platform.processes.children for pid in (child.process.pid, parent_of(child.process.pid))]
    assert os.getpid() not in pids
    assert platform.directory.stat().st_mode & 0o777 == 0o700
    await platform.close()
    assert left_in(tmp_path) == []
    assert pids
    assert not any(alive(pid) for pid in pids)


@pytest.mark.asyncio
async def test_diagnosis_keeps_the_logs(platform: Processes, tmp_path: Path) -> None:
    await platform.start(OUTSIDER, PLAIN)
    await platform.diagnose(tmp_path / "evidence")
    logs = {file.name for file in (tmp_path / "evidence").iterdir()}
    assert logs == {"fork-server.log", "probe-of-grey.outsider.log"}


ORPHANS = """
import asyncio, sys
from pathlib import Path
from pytest_meshcheck.platforms.base import Interval, Metadata
from pytest_meshcheck.platforms.local.platform import Processes
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.workload_spec import Enrolment, WorkloadSpec
from tests import clocks

async def main():
    platform = Processes(Journal(), Path(sys.argv[1]))
    await platform.start(WorkloadSpec("grey", "outsider", Enrolment.UNENROLLED), Metadata())
    print(*(child.process.pid for child in platform.processes.children), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_children_die_with_a_killed_parent_and_its_directory_with_the_next_run(tmp_path: Path) -> None:
    package = Path(addresses.__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(package)}
    argv = [sys.executable, "-c", ORPHANS, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        watched = [os.pidfd_open(pid) for pid in pids]
        parent.kill()
    assert pids
    for fd in watched:
        # A pidfd becomes readable when its process ends.
        assert _readable_within(fd, seconds=20.0)
        os.close(fd)
    left = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert len(left) == 1
    assert remove_dead_runs(tmp_path) == left
    assert list(tmp_path.iterdir()) == []


def _readable_within(fd: int, seconds: float) -> bool:
    return bool(select.select([fd], [], [], seconds)[0])


def test_the_directory_of_a_live_run_stays(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    assert remove_dead_runs(tmp_path) == []
    assert run.path.exists()
    run.close()


def test_directories_that_are_not_ours_stay(tmp_path: Path) -> None:
    for name in ("meshcheck-report", "meshcheck-0123abcd", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "meshcheck-89abcdef").symlink_to(tmp_path / "other")
    assert remove_dead_runs(tmp_path) == []


def test_runs_at_the_same_time_have_networks_of_their_own() -> None:
    first, second = AddressPlan.reserve(), AddressPlan.reserve()
    try:
        assert first.network != second.network
    finally:
        first.close()
        second.close()


def test_ports_in_use_are_left_to_their_users(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("0.0.0.0", 0)) as other:
        in_use = other.getsockname()[1]
        monkeypatch.setattr(addresses, "PORT_BASES", (in_use - 3, *PORT_BASES))
        plan = AddressPlan.reserve()
        plan.close()
    assert plan.base in PORT_BASES


def test_no_free_port_says_what_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_is_free", lambda _address, _port: False)
    with pytest.raises(OSError, match=rf"{PORT_BASES[0]}-{PORT_BASES[0] + PORT_SPAN - 1}.*ss -ltnp"):
        AddressPlan.reserve()


def test_other_systems_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(OSError, match=r"need Linux.*darwin"):
        AddressPlan.reserve()


def test_numbers_are_used_again_as_late_as_possible() -> None:
    assert next_number(0, []) == 1
    assert next_number(2, [1]) == 3
    assert next_number(MOST_WORKLOADS, [1, 2]) == 3
    with pytest.raises(OSError, match="stop some"):
        next_number(5, range(1, MOST_WORKLOADS + 1))


@pytest.mark.asyncio
async def test_a_child_that_is_stopped_or_out_of_files_is_noticed(platform: Processes) -> None:
    child = await platform.spawn("sidecar of blue/idle", ("sleep", "600"))
    since = now()
    child.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, child.process.pid, os.WSTOPPED)  # noqa: ASYNC222 - it comes at once
    await platform.stalls(Interval(since, now(), 60.0))
    await asyncio.sleep(0.3)
    (stopped,) = await platform.stalls(Interval(since, now(), 60.0))
    assert str(stopped).startswith("sidecar of blue/idle was paused for 0.")
    assert stopped.standstill.longest >= 0.3
    assert platform.longest_stalls()["sidecars"] >= 0.3
    resource.prlimit(child.process.pid, resource.RLIMIT_NOFILE, (3, 3))
    (lacking,) = await platform.stalls(Interval(since, now(), 60.0))
    assert str(lacking) == "sidecar of blue/idle ran out of open files (limit 3)"


SPENDTHRIFT = """
import os, sys
opened = []
try:
    while True:
        opened.append(os.open("/dev/null", os.O_RDONLY))
except OSError as error:
    for descriptor in opened:
        os.close(descriptor)
    print(error, file=sys.stderr, flush=True)
print(flush=True)
sys.stdin.read()
"""


@pytest.mark.asyncio
async def test_a_child_that_was_out_of_files_for_a_moment_is_known_by_its_log(platform: Processes) -> None:
    argv = ("prlimit", "--nofile=64", sys.executable, "-c", SPENDTHRIFT)
    child = await platform.spawn("sidecar of blue/idle", argv, pipes=True)
    assert child.process.stdout is not None
    await child.process.stdout.readline()
    (lacking,) = await platform.stalls(Interval(now() - 1.0, now(), 60.0))
    assert str(lacking) == "sidecar of blue/idle ran out of open files (limit 64)"


@pytest.mark.asyncio
async def test_a_child_that_was_out_of_memory_is_known_by_its_log(platform: Processes) -> None:
    says = "echo '[warning] recvmsg failed: Cannot allocate memory' >&2; echo; exec cat"
    child = await platform.spawn("sidecar of blue/idle", ("sh", "-c", says), pipes=True)
    assert child.process.stdout is not None
    await child.process.stdout.readline()
    (lacking,) = await platform.stalls(Interval(now() - 1.0, now(), 60.0))
    assert str(lacking) == "sidecar of blue/idle ran out of memory"


@pytest.mark.asyncio
async def test_a_pipe_that_broke_is_not_logged_as_an_error_that_nobody_saw(
    platform: Processes, caplog: pytest.LogCaptureFixture
) -> None:
    """Python 3.11.2 formats it whenever it is collected, which spoils a parse that is under way."""
    child = await platform.spawn("probe", ("sleep", "600"), pipes=True)
    assert child.process.stdin is not None
    end = os.pidfd_open(child.process.pid)
    child.process.kill()
    select.select([end], [], [])  # the loop must not notice before the pipe is written to
    os.close(end)
    child.process.stdin.write(b"x")
    await platform.discard(child)
    del child
    await asyncio.sleep(0)
    gc.collect()
    assert "never retrieved" not in caplog.text
