"""Signals to the processes of pods: a probe is asked to end, any container is killed or stopped from its node."""

import signal
from collections.abc import Mapping

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.kubernetes.api.server import Object
from pytest_meshcheck.platforms.kubernetes.api.stream import Executor
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import CONTAINER, PYTHON

SCRIPT = """
import os, pathlib, sys
found = 0
for process in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        if sys.argv[1] in (process / "cgroup").read_text():
            os.kill(int(process.name), int(sys.argv[2]))
            found += 1
    except (FileNotFoundError, ProcessLookupError):
        continue
print(found, flush=True)
"""
"""Signals every process of a container, by the id in the names of its control groups; prints how many there were."""


END = "import os, signal; os.kill(1, signal.SIGTERM)"
"""Asks the first process of a container, which is the probe, to end by itself: it goes on for its grace, then exits.

Asked again, it exits at once.
"""


def status_of(pod: Object, container: str) -> Object:
    """The status of a container that runs as long as its pod.

    Raises:
        Inconclusive: The pod has no such container, or it has not started.
    """
    status: Mapping[str, list[Object]] = pod.get("status", {})
    states = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    for one in states:
        if one["name"] == container and one.get("containerID"):
            return one
    raise Inconclusive(f"pod {pod['metadata']['name']} has no container {container} that runs")


def has_come_back(pod: Object, before: Object, *, ready: bool = True) -> bool:
    """Whether the container of an earlier status has been restarted, and unless ``ready`` is false, is ready."""
    now = status_of(pod, before["name"])
    return bool(now["restartCount"] > before["restartCount"] and (now["ready"] or not ready))


async def end(executor: Executor, namespace: str, pod: str) -> None:
    """Ask the probe in a pod to end by itself; OSError if the pod cannot be reached."""
    await executor.run(namespace, pod, CONTAINER, (PYTHON, "-c", END))


async def send_signal(executor: Executor, watcher: Object, status: Object, number: signal.Signals) -> None:
    """Send a signal to a container from a privileged pod on its node.

    Raises:
        Inconclusive: No process of it was found.
        OSError: The pod cannot be reached.
    """
    container = str(status["containerID"]).rpartition("/")[2]
    namespace, name = watcher["metadata"]["namespace"], watcher["metadata"]["name"]
    printed = await executor.run(namespace, name, CONTAINER, (PYTHON, "-c", SCRIPT, container, str(int(number))))
    reached = printed.decode().strip()
    if reached in ("", "0"):
        raise Inconclusive(f"{number.name} did not reach {status['name']}: its node shows no process of that container")
