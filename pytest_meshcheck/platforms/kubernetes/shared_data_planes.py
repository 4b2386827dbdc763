"""Data planes that several workloads share, such as the daemon of a node and the proxy of a service."""

from collections.abc import Callable
from dataclasses import dataclass, field

from pytest_meshcheck.platforms.crash import has_crashed
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.api.server import Object
from pytest_meshcheck.platforms.kubernetes.evidence.logs import log_of_ended
from pytest_meshcheck.platforms.kubernetes.workloads.pods import PODS, ContainerEnd, Pods, ends_of, runs_again
from pytest_meshcheck.platforms.last_words import last_words


@dataclass(eq=False)
class SharedDataPlanes:
    """The pods of shared data planes, and how their containers crashed."""

    _watches: dict[str, Pods] = field(default_factory=dict)
    """By label selector."""
    _past: set[ContainerEnd] = field(default_factory=set)
    _crashes: dict[ContainerEnd, str] = field(default_factory=dict)
    """Empty if it was no crash."""

    async def watch(self, api: Api, selector: str) -> None:
        """Watch the pods with these labels in all namespaces; an earlier end of a container does not count."""
        if selector in self._watches:
            return
        listed, _ = await api.items(PODS, selector)
        self._past |= {end for pod in listed for end in ends_of(pod)}
        self._watches[selector] = Pods(api, selector)

    async def crashes(self, api: Api, concerns: Callable[[Object], bool]) -> list[str]:
        """A description of each crash since ``forget``, in the watched pods that concern the run.

        Raises:
            Inconclusive: The pods cannot be watched any more.
        """
        pods = [pod for watch in self._watches.values() for pod in watch.current if concerns(pod)]
        ended = {end: pod for pod in pods for end in ends_of(pod) if end not in self._past}
        for end in ended.keys() - self._crashes.keys():
            cause = await _crash(api, ended[end], end)
            if cause or runs_again(ended[end], end):  # until then the log may be incomplete, or that of the next run
                self._crashes[end] = cause
        return [crash for end in ended if (crash := self._crashes.get(end, ""))]

    def forget(self) -> None:
        """Forget the reported crashes."""
        self._past |= self._crashes.keys()

    async def close(self) -> None:
        """End the watches."""
        for watch in self._watches.values():
            await watch.close()


async def _crash(api: Api, pod: Object, end: ContainerEnd) -> str:
    log = await log_of_ended(api, pod, end.name)
    if not has_crashed(end.exit_code, log):
        return ""
    where = f"{pod['metadata']['namespace']}/{pod['metadata']['name']} on {pod['spec'].get('nodeName', 'no node')}"
    return f"the container {end.name} of {where} crashed (exit code {end.exit_code}); {last_words(log)}"
