"""Which ends of a data plane are crashes, and which of them a check is held responsible for."""

import pytest

from pytest_meshcheck.platforms.crash import Crashes, has_crashed

AGENT = "2026-11-30T06:00:00Z error Envoy exited with error: signal: {}"
FULL = "[critical] assert failure: SOCKET_VALID. Details: socket(2) failed, got error: Too many open files"


@pytest.mark.parametrize(
    ("exit_code", "log", "crashed"),
    [
        # exit code of a process or a container, the end of its log, and whether the data plane is at fault
        pytest.param(-11, "", True, id="process-segmentation-fault"),
        pytest.param(134, "", True, id="container-aborted"),
        pytest.param(0, AGENT.format("segmentation fault (core dumped)"), True, id="child-of-agent"),
        pytest.param(2, "panic: runtime error: index out of range [3]\n\ngoroutine 1 [running]:", True, id="go"),
        pytest.param(101, "thread 'main' panicked at src/proxy.rs:1:2:\nnone", True, id="rust"),
        pytest.param(-9, "", False, id="killed"),
        pytest.param(137, "", False, id="container-killed"),
        pytest.param(0, AGENT.format("killed"), False, id="child-of-agent-killed"),
        pytest.param(143, "", False, id="asked-to-end"),
        pytest.param(1, "", False, id="gave-up"),
        pytest.param(2, "flag provided but not defined: -x", False, id="misused"),
        pytest.param(-6, FULL, False, id="machine-lacks-files"),
    ],
)
def test_an_end_by_a_fault_of_its_own_is_a_crash(exit_code: int, log: str, crashed: bool) -> None:
    assert has_crashed(exit_code, log) is crashed


def test_a_crash_is_reported_until_it_is_forgotten() -> None:
    crashes = Crashes()
    assert crashes.report(["running"]) == ["running"]
    crashes.keep(["running"])
    assert crashes.report([]) == ["running"]
    crashes.forget_reported()
    assert crashes.report([]) == []


def test_a_crash_that_is_noticed_late_is_not_forgotten() -> None:
    crashes = Crashes()
    crashes.keep(["late"])
    crashes.forget_reported()
    assert crashes.report([]) == ["late"]
