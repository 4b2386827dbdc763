"""Signals to containers, sent on their node."""

import signal
import subprocess
import sys
from typing import Any

import pytest

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.kubernetes.workloads.signals import SCRIPT, has_come_back, send_signal, status_of

WATCHER = {"metadata": {"namespace": "wire-1", "name": "wire-x"}}


def pod(restarts: int, *, ready: bool = True, started: bool = True) -> dict[str, Any]:
    status = {"name": "istio-proxy", "restartCount": restarts, "ready": ready}
    if started:
        status["containerID"] = "containerd://0123abcd"
    return {"metadata": {"name": "server-1"}, "status": {"initContainerStatuses": [status]}}


class Node:
    """Answers the script as a node would, and keeps what it was asked for."""

    def __init__(self, answer: bytes) -> None:
        self.asked: list[tuple[str, str, str, tuple[str, ...]]] = []
        self._answer = answer

    async def run(self, namespace: str, name: str, container: str, command: tuple[str, ...]) -> bytes:
        self.asked.append((namespace, name, container, command))
        return self._answer


def test_a_container_is_back_once_it_was_restarted_and_is_ready() -> None:
    before = status_of(pod(1), "istio-proxy")
    assert not has_come_back(pod(1), before)
    assert not has_come_back(pod(2, ready=False), before)
    assert has_come_back(pod(2, ready=False), before, ready=False)
    assert has_come_back(pod(2), before)


@pytest.mark.parametrize("one", [pod(0, started=False), {"metadata": {"name": "server-1"}}])
def test_a_container_that_does_not_run_cannot_be_killed(one: dict[str, Any]) -> None:
    with pytest.raises(Inconclusive, match="pod server-1 has no container istio-proxy that runs"):
        status_of(one, "istio-proxy")


@pytest.mark.asyncio
async def test_the_privileged_pod_is_asked_for_the_id_without_its_runtime() -> None:
    node = Node(b"2\n")
    status = status_of(pod(0), "istio-proxy")
    await send_signal(node, WATCHER, status, signal.SIGSTOP)  # type: ignore[arg-type]
    ((namespace, name, container, command),) = node.asked
    assert (namespace, name, container) == ("wire-1", "wire-x", "probe")
    assert command[1:] == ("-c", SCRIPT, "0123abcd", "19")


@pytest.mark.asyncio
@pytest.mark.parametrize("answer", [b"0\n", b""])
async def test_a_signal_that_reaches_no_process_is_not_sent(answer: bytes) -> None:
    status = status_of(pod(0), "istio-proxy")
    with pytest.raises(Inconclusive, match="SIGKILL did not reach istio-proxy"):
        await send_signal(Node(answer), WATCHER, status, signal.SIGKILL)  # type: ignore[arg-type]


def test_the_script_signals_nothing_that_is_not_of_the_container() -> None:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, "no-such-container", "9"], capture_output=True, text=True, check=True
    )
    assert run.stdout == "0\n"
