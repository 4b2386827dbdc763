"""A process that stands still is not held against the mesh; what got through meanwhile is."""

import pytest

from tests.plugin.conftest import Quick, Suite

BLOCKED = '''
import time

@check(MUST, "demo.rule")
async def test_{name}(mesh):
    """This process stands still for a while, and then something is not as expected."""
    await asyncio.sleep(0.1)
    time.sleep(1.2)
    {then}
'''

PROBE_STOPPED = '''
@check(MUST, "demo.rule")
async def test_stopped(mesh, client, server):
    """A probe is stopped for a while."""
    control(await client.get(server)).answered()
    (child,) = [one for one in mesh.platform.processes.children if one.name == "{name}"]
    child.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(1.5)
    child.process.send_signal(signal.SIGCONT)
    expect(False, "in time", rests_on=mesh.time(3)).is_true(otherwise="too late")
'''


@pytest.mark.parametrize("name", ["probe of blue/server", "sidecar of blue/server"])
def test_a_process_that_was_stopped_is_named_with_the_seconds(suite: Suite, quick: Quick, name: str) -> None:
    suite.write(PROBE_STOPPED.format(name=name))
    quick("--mesh=envoy").assert_outcomes(errors=1)
    reason = suite.results()["demo/stopped"]["reason"]
    assert f"{name} was paused for 1." in reason
    assert reason.endswith("which can explain this: expected in time: it holds, but too late")


def test_a_violation_that_rests_on_time_is_inconclusive_while_pytest_stands_still(suite: Suite, quick: Quick) -> None:
    then = "expect(False, rests_on=mesh.time(3)).is_true(otherwise='too late')"
    suite.write(BLOCKED.format(name="time", then=then))
    quick("--mesh=envoy").assert_outcomes(errors=1)
    assert suite.results()["demo/time"]["reason"].startswith("pytest was paused for 1.")
    assert suite.report()["pulse"]["pytest"] >= 1.1


def test_a_violation_by_order_stands_whatever_stood_still(suite: Suite, quick: Quick) -> None:
    suite.write(BLOCKED.format(name="order", then="expect(1).equals(2)"))
    result = quick("--mesh=envoy")
    result.assert_outcomes(failed=1)
    assert suite.verdicts() == {"demo/order": "violates"}
    result.stdout.fnmatch_lines(["machine stalls: pytest paused for up to 1.* s"])


def test_a_control_that_failed_names_what_stood_still(suite: Suite, quick: Quick) -> None:
    suite.write(BLOCKED.format(name="control", then="control(1).equals(2)"))
    quick("--mesh=envoy").assert_outcomes(errors=1)
    reason = suite.results()["demo/control"]["reason"]
    assert reason.startswith("control failed: expected 2, but it is 1 (meanwhile pytest was paused for 1.")


LIMIT = """
import resource

def pytest_unconfigure():
    print("soft and hard:", *resource.getrlimit(resource.RLIMIT_NOFILE))
"""

LOWERED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
os.execvp(sys.executable, [sys.executable, "-m", "pytest", *sys.argv[1:]])
"""


def test_a_run_may_open_as_many_files_as_its_user(suite: Suite, pytester: pytest.Pytester) -> None:
    suite.write("conforms", conftest=LIMIT)
    script = pytester.makepyfile(lowered=LOWERED)
    run = pytester.run("python", script, "-p", "no:cacheprovider", "-s", "--mesh=envoy")
    (line,) = [line for line in run.outlines if "soft and hard:" in line]
    soft, hard = map(int, line.split()[-2:])
    assert soft == min(hard, 65_536) or hard == -1
