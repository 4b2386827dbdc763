"""Ctrl-C, SIGTERM and SIGKILL at any moment: nothing is left behind, and nothing is lost that was judged."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.plugin.conftest import Suite

# Ctrl-C on a terminal reaches every process of the foreground group, SIGTERM the one that it is sent to.
SIGNALS = {"ctrl-c": "os.killpg(os.getpgrp(), signal.SIGINT)", "sigterm": "os.kill(os.getpid(), signal.SIGTERM)"}

IN_A_CHECK = '''
@check(MUST, "demo.rule")
async def test_interrupted(mesh, client, server):
    """It is interrupted."""
    async with mesh.policy(MutualTls(server, Mode.STRICT)):
        {interrupt}
        await asyncio.sleep(60)
        expect(1).equals(2)
'''

UNDER_LOAD = '''
@check(MUST, "demo.rule")
async def test_interrupted(mesh, client, server):
    """It is interrupted under load."""
    async with mesh.wire(client, server):
        async with client.load(server, rate=50):
            {interrupt}
            await asyncio.sleep(60)
'''

STUBBORN = '''
@check(MUST, "demo.rule")
async def test_interrupted(mesh):
    """What it does at its end goes wrong."""
    try:
        {interrupt}
        await asyncio.sleep(60)
    finally:
        raise Inconclusive("cannot be undone")
'''

STARTING = """
import os, signal, threading

def pytest_meshcheck_envoy_resources(workload, resources):
    if workload == "blue/{workload}":
        {interrupt}
"""

COLLECTING = """
import os, signal

def pytest_collection_finish(session):
    {interrupt}
"""

ENDING = """
import os, signal
from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh

class Interrupted(EnvoyMesh):
    async def uninstall(self):
        {interrupt}
        await super().uninstall()

def acme(order):
    mesh = Interrupted(order.version)
    mesh.prepare()
    return mesh

def pytest_meshcheck_register_mesh(registry):
    registry.register("acme", acme)
"""


def assert_clean(suite: Suite) -> None:
    """No process is left, and no run directory."""
    assert suite.is_gone(), suite.processes()
    assert suite.run_directories() == []


@pytest.mark.parametrize("interrupt", SIGNALS.values(), ids=SIGNALS)
@pytest.mark.parametrize("check", [IN_A_CHECK, UNDER_LOAD, STUBBORN], ids=["policy", "load", "stubborn"])
def test_in_the_middle_of_a_check(suite: Suite, check: str, interrupt: str) -> None:
    suite.write("conforms", "violates", check.format(interrupt=interrupt), "served")
    run = suite.run()
    assert run.code == 2, run.output
    assert suite.verdicts() == {
        "demo/conforms": "conforms",
        "demo/violates": "violates",
        "demo/interrupted": "not-run",
        "demo/served": "not-run",
    }
    assert suite.report()["complete"] is False
    assert run.has("The run was interrupted.", "VIOLATES  demo/violates", "report: ")
    assert_clean(suite)


@pytest.mark.parametrize("interrupt", SIGNALS.values(), ids=SIGNALS)
def test_in_the_background_of_a_script(suite: Suite, interrupt: str) -> None:
    suite.write("conforms", IN_A_CHECK.format(interrupt=interrupt))
    run = suite.run(within=("sh", "-c", "trap '' INT QUIT; exec \"$@\"", "script"))
    assert run.code == 2, run.output
    assert suite.verdicts() == {"demo/conforms": "conforms", "demo/interrupted": "not-run"}
    assert_clean(suite)


def test_a_known_violation_is_no_reason_for_a_check_not_to_run(suite: Suite) -> None:
    suite.write("conforms", IN_A_CHECK.format(interrupt=SIGNALS["ctrl-c"]), "violates")
    (suite.path / "known.toml").write_text("[[known]]\ncheck = 'demo/violates'\nreason = 'it may'\nlink = 'l'\n")
    run = suite.run("--mesh-expectations=known.toml")
    assert run.code == 2, run.output
    assert suite.results()["demo/violates"]["verdict"] == "not-run"
    assert run.has("2 of 3 checks were not conclusive: 2 not run.")


@pytest.mark.parametrize("interrupt", SIGNALS.values(), ids=SIGNALS)
@pytest.mark.parametrize("workload", ["client", "server"])
def test_while_the_mesh_starts(suite: Suite, workload: str, interrupt: str) -> None:
    suite.write("conforms", "served", conftest=STARTING.format(interrupt=interrupt, workload=workload))
    run = suite.run()
    assert run.code == 2, run.output
    assert suite.verdicts() == {"demo/conforms": "conforms", "demo/served": "not-run"}
    assert suite.report()["complete"] is False
    assert_clean(suite)


@pytest.mark.parametrize("interrupt", SIGNALS.values(), ids=SIGNALS)
def test_during_collection(suite: Suite, interrupt: str) -> None:
    suite.write("served", conftest=COLLECTING.format(interrupt=interrupt))
    run = suite.run()
    assert run.code == 2, run.output
    assert not (suite.path / "meshcheck-report").exists()
    assert_clean(suite)


@pytest.mark.parametrize("interrupt", SIGNALS.values(), ids=SIGNALS)
def test_during_teardown(suite: Suite, interrupt: str) -> None:
    suite.write("served", conftest=ENDING.format(interrupt=interrupt))
    run = suite.run(mesh="acme")
    assert run.code == 2, run.output
    assert suite.verdicts() == {"demo/served": "conforms"}
    assert_clean(suite)


def test_ctrl_c_twice(suite: Suite) -> None:
    suite.write("conforms", IN_A_CHECK.format(interrupt=f"{SIGNALS['ctrl-c']}; {SIGNALS['ctrl-c']}"))
    run = suite.run()
    assert run.code == 2, run.output
    assert suite.verdicts()["demo/conforms"] == "conforms"
    assert suite.is_gone()


WAITING = '''
@check(MUST, "demo.rule")
async def test_waiting(mesh, client, server):
    """It waits."""
    async with mesh.wire(client, server), client.load(server, rate=50):
        pathlib.Path("waiting").touch()
        await asyncio.sleep(60)
'''


def appears(path: Path) -> None:
    """Wait until something else has made a file."""
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.02)


def test_sigkill_takes_every_process_along(suite: Suite) -> None:
    process = suite.write(WAITING).start("--mesh=envoy")
    appears(suite.path / "waiting")
    assert len(suite.processes()) >= 6  # pytest, two probes with two sidecars, the recorder
    process.kill()
    suite.finish(process)
    assert_clean_but_for_the_directory(suite)


def assert_clean_but_for_the_directory(suite: Suite) -> None:
    """Who is killed cannot tidy up."""
    assert suite.is_gone(), suite.processes()
    assert len(suite.run_directories()) == 1


def test_the_next_run_tidies_up_after_a_killed_one(suite: Suite) -> None:
    process = suite.write(WAITING).start("--mesh=envoy")
    appears(suite.path / "waiting")
    process.kill()
    suite.finish(process)
    suite.write("served").run()
    assert_clean(suite)


def test_a_run_leaves_the_directory_of_a_living_one_alone(suite: Suite) -> None:
    process = suite.write(WAITING).start("--mesh=envoy")
    appears(suite.path / "waiting")
    alive = suite.run_directories()
    suite.write("served").run()
    assert suite.run_directories() == alive
    os.kill(process.pid, signal.SIGTERM)
    assert suite.finish(process).code == 2
    assert_clean(suite)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_with_workers(suite: Suite, sign: signal.Signals) -> None:
    process = suite.write("conforms", "violates", WAITING).start("--mesh=envoy", "-n2")
    appears(suite.path / "waiting")
    if sign is signal.SIGINT:
        os.killpg(process.pid, sign)
    else:
        process.send_signal(sign)
    run = suite.finish(process)
    assert run.code == 2, run.output
    assert suite.verdicts()["demo/conforms"] == "conforms"
    assert suite.report()["complete"] is False
    assert suite.is_gone(), suite.processes()


def test_sigkill_of_the_controller_takes_workers_along(suite: Suite) -> None:
    process = suite.write("conforms", WAITING).start("--mesh=envoy", "-n2")
    appears(suite.path / "waiting")
    process.kill()
    suite.finish(process)
    # xdist gives a worker's test up to ten seconds
    assert suite.is_gone(within=30.0), suite.processes()
