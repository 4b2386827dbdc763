"""Evidence about pods: logs, events, and the reason why a pod is not ready; without secrets."""

from collections.abc import Sequence
from pathlib import Path

from pytest_meshcheck.model.redaction import redacted
from pytest_meshcheck.model.secrets import redact_text
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.api.server import Object, Refused
from pytest_meshcheck.platforms.kubernetes.workloads.pods import obstacle, progress, ready

LOG_LINES = 500
"""Lines from the end of the log of a running container."""

LATEST = 3


async def write_logs(api: Api, directory: Path, pods: Sequence[Object]) -> None:
    """Write the log of each container to a file: the whole log if it has ended or was restarted, else its end."""
    directory.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - nothing else runs while evidence is kept
    for pod in pods:
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
            for suffix, query in _logs_of(pod, container["name"]).items():
                log = await _log(api, namespace, name, container["name"], query)
                file = directory / f"{namespace}.{name}.{container['name']}{suffix}.log"
                file.write_text(redact_text(log), "utf-8")


async def write_events(api: Api, directory: Path, namespace: str) -> None:
    """Write the events of a namespace."""
    events, _ = await api.items(f"/api/v1/namespaces/{namespace}/events")
    lines = [f"{event.get('lastTimestamp')} {_line(event)}" for event in events]
    (directory / f"{namespace}.events.log").write_text(redact_text("\n".join(lines) + "\n"), "utf-8")


async def trouble(api: Api, namespace: str) -> str:
    """What pods of a namespace that are not ready wait for, and its latest warnings, in one line."""
    pods, _ = await api.items(f"/api/v1/namespaces/{namespace}/pods")
    waiting = [
        f"pod {pod['metadata']['name']}: {obstacle(pod) or progress(pod)}" for pod in pods if not ready(pod)
    ] or [f"{len(pods)} pods, all ready"]
    events, _ = await api.items(f"/api/v1/namespaces/{namespace}/events")
    warnings = [_line(event) for event in events if event.get("type") == "Warning"][-LATEST:]
    return redacted("; ".join([*waiting, *warnings]))


async def last_warning(api: Api, namespace: str, workload: str) -> str:
    """The latest warning about a workload, its ReplicaSet or its pods; empty if there is none."""
    events, _ = await api.items(f"/api/v1/namespaces/{namespace}/events")
    about = [event for event in events if f"{event['involvedObject'].get('name')}-".startswith(f"{workload}-")]
    warnings = [_line(event) for event in about if event.get("type") == "Warning"]
    return redacted(warnings[-1]) if warnings else ""


async def unready_nodes(api: Api) -> list[str]:
    """The nodes that are not ready, each with the reason; none if they may not be listed."""
    try:
        nodes, _ = await api.items("/api/v1/nodes")
    except Refused:
        return []
    states = {node["metadata"]["name"]: _condition(node, "Ready") for node in nodes}
    return [
        f"node {name} is not ready: {state.get('reason')} {state.get('message')}"
        for name, state in states.items()
        if state.get("status") != "True"
    ]


def _condition(node: Object, kind: str) -> Object:
    found = [condition for condition in node.get("status", {}).get("conditions", []) if condition["type"] == kind]
    return found[0] if found else {}


def _line(event: Object) -> str:
    return f"{event['involvedObject'].get('name')} {event.get('message')}"


async def log_of_ended(api: Api, pod: Object, container: str) -> str:
    """The log of a container that has ended, even if it was restarted since."""
    query = next(iter(_logs_of(pod, container).values()))
    return await _log(api, pod["metadata"]["namespace"], pod["metadata"]["name"], container, query)


def _logs_of(pod: Object, container: str) -> dict[str, dict[str, str]]:
    """The queries for the logs of a container, by the suffix of the file."""
    status = pod.get("status", {})
    states = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    state: Object = next((one for one in states if one["name"] == container), {})
    end = {"tailLines": str(LOG_LINES)}
    if "terminated" in state.get("state", {}):
        return {"": {}}
    if "terminated" in state.get("lastState", {}):
        return {".previous": {"previous": "true"}, "": end}
    return {"": end}


async def _log(api: Api, namespace: str, pod: str, container: str, query: dict[str, str]) -> str:
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
    try:
        return await api.text(path, [("container", container), *query.items()])
    except Refused as error:
        return f"no log: {error}\n"
