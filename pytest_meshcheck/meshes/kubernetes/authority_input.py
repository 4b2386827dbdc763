"""Complaints of control planes about unusable files of an authority, in logs and events."""

import re
import time
from asyncio import sleep
from collections.abc import Awaitable, Callable, Collection, Sequence

from pytest_meshcheck.model.redaction import redacted
from pytest_meshcheck.platforms.kubernetes.api.resources import Api

PAUSE = 0.2
LINES = "2000"
"""Lines of each log that are searched, from its end."""


async def new_complaint(
    complaints: Callable[[], Awaitable[Collection[str]]], before: Collection[str], within: float
) -> str:
    """The first new complaint; empty if none comes within so many seconds."""
    until = time.monotonic() + within
    while True:
        found = [one for one in await complaints() if one not in before]
        if found or time.monotonic() > until:
            return redacted(found[0]) if found else ""
        await sleep(PAUSE)


async def logged(api: Api, namespace: str, selector: str, container: str, complaint: re.Pattern[str]) -> list[str]:
    """The lines in the logs of a container of these pods that a pattern finds, with their times."""
    pods, _ = await api.items(f"/api/v1/namespaces/{namespace}/pods", selector)
    query = [("container", container), ("tailLines", LINES)]
    path = f"/api/v1/namespaces/{namespace}/pods/{{}}/log"
    texts = [await api.text(path.format(pod["metadata"]["name"]), query) for pod in pods]
    return [line for text in texts for line in text.splitlines() if complaint.search(line)]


async def recorded(api: Api, namespace: str, reasons: Sequence[str]) -> list[str]:
    """The events of a namespace with one of these reasons; one that is repeated differs by its count."""
    events, _ = await api.items(f"/api/v1/namespaces/{namespace}/events")
    return [
        f"{event['reason']}: {event.get('message', '')} ({event.get('count', 1)})"
        for event in events
        if event.get("reason") in reasons
    ]
