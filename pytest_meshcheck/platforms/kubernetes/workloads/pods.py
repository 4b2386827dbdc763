"""The state of the pods of a run, from one watch for all of them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from typing import NamedTuple

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.api.server import PASSING, SERVER_ERRORS, UNREACHABLE, Object, Refused

PAUSE = 0.5
"""Seconds between attempts to reach an API server that is away."""

PODS = "/api/v1/pods"

HOPELESS = frozenset(
    {
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "CrashLoopBackOff",
    }
)
"""Reasons of a waiting container that do not pass by themselves soon enough."""


class ContainerEnd(NamedTuple):
    """The end of a container, by name, with its exit code; ``run`` tells apart the runs of one container."""

    name: str
    exit_code: int
    run: str = ""


class Pods:
    """The pods with certain labels, kept current by a watch that outlasts a restart of the API server."""

    def __init__(self, api: Api, selector: str) -> None:
        self.known: dict[tuple[str, str], Object] = {}
        self._api = api
        self._selector = selector
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._follow())

    async def until(self, met: Callable[[Mapping[tuple[str, str], Object]], bool], within: float) -> None:
        """Wait until the pods are as wanted.

        Raises:
            TimeoutError: They were not, within so many seconds.
        """
        async with asyncio.timeout(within):
            while not met(self.known):
                if self._task.done():
                    self._task.result()
                await self._changed.wait()

    async def close(self) -> None:
        """End the watch."""
        self._task.cancel()
        await asyncio.wait({self._task})

    @property
    def current(self) -> Sequence[Object]:
        """The pods; Inconclusive if they cannot be watched any more."""
        if self._task.done():
            self._task.result()
        return list(self.known.values())

    async def _follow(self) -> None:
        try:
            await self._follow_on()
        finally:
            self._changed.set()  # wake the waiters, which have to see that the watch has ended

    async def _follow_on(self) -> None:
        while True:
            try:
                listed, version = await self._api.items(PODS, self._selector)
                self._replace({_key(pod): pod for pod in listed})
                async with aclosing(self._api.events(PODS, self._selector, version)) as events:
                    async for event, pod in events:
                        remaining = {key: known for key, known in self.known.items() if key != _key(pod)}
                        self._replace(remaining if event == "DELETED" else remaining | {_key(pod): pod})
            except UNREACHABLE:
                await asyncio.sleep(PAUSE)
            except Refused as error:
                if error.status < SERVER_ERRORS and error.status not in PASSING:
                    raise Inconclusive(f"the pods with {self._selector} cannot be watched: {error}") from error
                await asyncio.sleep(PAUSE)

    def _replace(self, known: dict[tuple[str, str], Object]) -> None:
        self.known = known
        self._changed.set()
        self._changed = asyncio.Event()


def ready(pod: Object) -> bool:
    """Whether a pod is ready, and not about to go."""
    conditions = pod.get("status", {}).get("conditions", [])
    up = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
    return up and "deletionTimestamp" not in pod["metadata"]


def obstacle(pod: Object) -> str | None:
    """Why a pod will never run, in the words of the kubelet; None if nothing prevents it."""
    where = f"pod {pod['metadata']['namespace']}/{pod['metadata']['name']} on {pod['spec'].get('nodeName', 'no node')}"
    status = pod.get("status", {})
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("reason") in HOPELESS:
            said = waiting.get("message", "")
            return f"{where}: container {container['name']} of image {container['image']}: {waiting['reason']}: {said}"
    return None


def progress(pod: Object) -> str:
    """The phase of a pod and its unmet conditions, for messages."""
    status = pod.get("status", {})
    unmet = [
        f"{condition['type']} is {condition['status']}: {condition.get('reason', '')} {condition.get('message', '')}"
        for condition in status.get("conditions", [])
        if condition["status"] != "True"
    ]
    return "; ".join([f"phase {status.get('phase', 'unknown')}", *(text.strip() for text in unmet)])


def is_leaving(pod: Object | None) -> bool:
    """Whether a pod has been asked to end."""
    return pod is not None and "deletionTimestamp" in pod["metadata"]


def fate(before: Object, now: Object | None, *, may_leave: bool = False) -> str | None:
    """Whether a pod that ran is gone, or one of its containers ended, in words; None for neither."""
    if now is None or now["metadata"]["uid"] != before["metadata"]["uid"]:
        return "its pod is gone"
    if is_leaving(now) and not may_leave:
        return "its pod is being deleted"
    if (status := _ended(before, now)) is None:
        return None
    ended = _end(status)
    return f"its container {status['name']} ended: {ended.get('reason', '')} (exit code {ended.get('exitCode')})"


def ended_container(before: Object, now: Object | None) -> ContainerEnd | None:
    """The end of the container that ended since a pod ran; None if none did, or if the pod is gone."""
    status = _ended(before, now) if now else None
    return _container_end(status) if status else None


def ends_of(pod: Object) -> list[ContainerEnd]:
    """The last end of each container that runs as long as its pod, if it has ended before."""
    return [_container_end(status) for status in _statuses(pod) if _end(status)]


def runs_again(pod: Object, end: ContainerEnd) -> bool:
    """Whether a container has been started again since this end."""
    return any(one["name"] == end.name and "terminated" not in one["state"] for one in _statuses(pod))


def exit_code(pod: Object | None, container: str) -> int | None:
    """The exit code of a container that has ended; None while it runs, and where its pod is gone."""
    for status in _statuses(pod) if pod else ():
        if status["name"] == container and "terminated" in status["state"]:
            return int(status["state"]["terminated"]["exitCode"])
    return None


def succeeded(pod: Object | None) -> bool:
    """Whether all containers of a pod that count have ended with exit code 0."""
    return pod is not None and pod.get("status", {}).get("phase") == "Succeeded"


def unfinished(pod: Object | None) -> tuple[str, ...]:
    """The containers of a pod that still run, or else its phase; nothing if it succeeded or is gone."""
    if pod is None or succeeded(pod):
        return ()
    running = tuple(f"container {one['name']}" for one in _statuses(pod) if "running" in one["state"])
    return running or (f"phase {pod['status'].get('phase', 'unknown')}",)


def _ended(before: Object, now: Object) -> Object | None:
    earlier = {status["name"]: status["restartCount"] for status in _statuses(before)}
    for status in _statuses(now):
        if _end(status) and (
            status["restartCount"] > earlier.get(status["name"], 0) or "terminated" in status["state"]
        ):
            return status
    return None


def _container_end(status: Object) -> ContainerEnd:
    end = _end(status)
    return ContainerEnd(str(status["name"]), int(end.get("exitCode", 0)), str(end.get("containerID", "")))


def _end(status: Object) -> Object:
    ended: Object = status["state"].get("terminated") or status.get("lastState", {}).get("terminated") or {}
    return ended


def _statuses(pod: Object) -> list[Object]:
    """The statuses of containers that run as long as the pod."""
    status = pod.get("status", {})
    lasting = {
        container["name"]
        for container in pod["spec"].get("initContainers", [])
        if container.get("restartPolicy") == "Always"
    }
    sidecars = [one for one in status.get("initContainerStatuses", []) if one["name"] in lasting]
    return [*sidecars, *status.get("containerStatuses", [])]


def _key(pod: Object) -> tuple[str, str]:
    return pod["metadata"]["namespace"], pod["metadata"]["name"]
