"""What is read off the state of a pod."""

import copy
from typing import Any

import pytest

from pytest_meshcheck.platforms.kubernetes.workloads.pods import (
    exit_code,
    fate,
    obstacle,
    progress,
    ready,
    succeeded,
    unfinished,
)

Pod = dict[str, Any]

RUNNING: Pod = {
    "metadata": {"uid": "1", "namespace": "blue-1", "name": "server-x"},
    "spec": {"nodeName": "node-a", "containers": [{"name": "probe"}]},
    "status": {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": "probe", "image": "probe:1", "restartCount": 0, "state": {"running": {}}}],
    },
}


def changed(**status: Any) -> Pod:
    pod = copy.deepcopy(RUNNING)
    pod["status"]["containerStatuses"][0] |= status
    return pod


def deleted() -> Pod:
    pod = copy.deepcopy(RUNNING)
    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return pod


def replaced() -> Pod:
    pod = copy.deepcopy(RUNNING)
    pod["metadata"]["uid"] = "2"
    return pod


def test_a_running_pod() -> None:
    assert ready(RUNNING)
    assert obstacle(RUNNING) is None
    assert fate(RUNNING, RUNNING) is None


def test_a_pod_that_is_being_deleted_is_not_ready() -> None:
    assert not ready(deleted())


KILLED = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (None, "its pod is gone"),
        (replaced(), "its pod is gone"),
        (deleted(), "its pod is being deleted"),
        (changed(restartCount=1, lastState=KILLED), "its container probe ended: OOMKilled (exit code 137)"),
        (changed(state=KILLED), "its container probe ended: OOMKilled (exit code 137)"),
    ],
)
def test_what_became_of_a_pod(now: Pod | None, said: str) -> None:
    assert fate(RUNNING, now) == said


def test_a_pod_may_end_that_was_asked_to_until_its_containers_have() -> None:
    assert fate(RUNNING, deleted()) == "its pod is being deleted"
    assert fate(RUNNING, deleted(), may_leave=True) is None
    ended = deleted()
    ended["status"]["containerStatuses"][0]["state"] = {"terminated": {"reason": "Completed", "exitCode": 0}}
    assert fate(RUNNING, ended, may_leave=True) == "its container probe ended: Completed (exit code 0)"


def test_a_restart_from_before_it_was_used_is_nobodys_fate() -> None:
    restarted = changed(restartCount=1, lastState=KILLED)
    assert fate(restarted, restarted) is None


def test_a_sidecar_that_restarts_is_noticed() -> None:
    pod = copy.deepcopy(RUNNING)
    pod["spec"]["initContainers"] = [{"name": "setup"}, {"name": "proxy", "restartPolicy": "Always"}]
    done = {"name": "setup", "restartCount": 0, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
    proxy = {"name": "proxy", "restartCount": 0, "state": {"running": {}}}
    pod["status"]["initContainerStatuses"] = [done, proxy]
    assert fate(pod, pod) is None
    later = copy.deepcopy(pod)
    later["status"]["initContainerStatuses"][1] |= {"restartCount": 1, "lastState": KILLED}
    assert fate(pod, later) == "its container proxy ended: OOMKilled (exit code 137)"


def test_an_image_that_cannot_be_pulled_names_image_node_and_what_the_kubelet_said() -> None:
    pod = changed(state={"waiting": {"reason": "ImagePullBackOff", "message": "no such host"}})
    assert obstacle(pod) == (
        "pod blue-1/server-x on node-a: container probe of image probe:1: ImagePullBackOff: no such host"
    )


def test_a_container_that_is_about_to_start_is_no_obstacle() -> None:
    assert obstacle(changed(state={"waiting": {"reason": "ContainerCreating"}})) is None


def test_a_pod_that_waits_tells_for_what() -> None:
    pod = copy.deepcopy(RUNNING)
    unmet = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes available"}
    pod["status"] = {"phase": "Pending", "conditions": [unmet]}
    assert progress(pod) == "phase Pending; PodScheduled is False: Unschedulable 0/1 nodes available"


SIDECAR = {"name": "mesh-proxy", "restartCount": 0, "state": {"running": {}}}


def job(phase: str, code: int, **sidecars: list[Any]) -> Pod:
    """A pod whose probe has ended with this exit code, beside ordinary or native sidecars."""
    pod = changed(state={"terminated": {"exitCode": code}})
    pod["spec"]["initContainers"] = [{"name": "mesh-proxy", "restartPolicy": "Always"}]
    pod["status"] |= {"phase": phase, "initContainerStatuses": sidecars.get("native", [])}
    pod["status"]["containerStatuses"] += sidecars.get("ordinary", [])
    return pod


def test_the_exit_code_of_a_job() -> None:
    assert exit_code(RUNNING, "probe") is None
    assert exit_code(None, "probe") is None
    assert [exit_code(job("Running", code), "probe") for code in (0, 3)] == [0, 3]


@pytest.mark.parametrize(
    ("pod", "left"),
    [
        (job("Succeeded", 0), ()),
        (job("Running", 0, ordinary=[SIDECAR]), ("container mesh-proxy",)),
        (job("Running", 0, native=[SIDECAR]), ("container mesh-proxy",)),
        (job("Running", 0), ("phase Running",)),
        (job("Failed", 0), ("phase Failed",)),
        (None, ()),
    ],
    ids=["succeeded", "ordinary sidecar", "native sidecar", "not yet", "failed", "gone"],
)
def test_what_goes_on_after_a_job(pod: Pod | None, left: tuple[str, ...]) -> None:
    assert unfinished(pod) == left
    assert succeeded(pod) is (pod is not None and not left)
