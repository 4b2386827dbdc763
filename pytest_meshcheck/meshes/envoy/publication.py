"""Putting resources where a sidecar's subscriptions look for them: files that are replaced as a whole."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_meshcheck.meshes.envoy.envoyjson import TYPES, Resource, Resources, file_of, name_of

ORDER = ("secrets", "endpoints", "clusters", "routes", "listeners")
"""What is referred to comes before what refers to it."""

IN_ONE_FILE = ("clusters", "listeners")

STATISTICS = {
    "listeners": "listener_manager.lds",
    "clusters": "cluster_manager.cds",
    "routes": "http.{name}.rds.{name}",
    "endpoints": "cluster.{name}",
    "secrets": "sds.{name}",
}
"""Where Envoy counts what it takes and rejects of a subscription."""


@dataclass(frozen=True)
class Published:
    """A file as it was published.

    Attributes:
        subject: For messages, e.g. ``routes outbound.server.blue.http``.
        path: Relative to the directory that the sidecar runs in.
        statistics: The prefix of Envoy's statistics of the subscription.
        version: What Envoy reports once it runs it. No two publications share one.
    """

    subject: str
    path: str
    statistics: str
    version: str


class Publication:
    """The files of one sidecar.

    Attributes:
        current: By path, what was published last and has a subscription.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.current: dict[str, Published] = {}
        self._contents: dict[str, str] = {}
        self._count = 0
        (directory / "config").mkdir(parents=True)

    def publish(self, resources: Resources) -> list[Published]:
        """Replace the files whose content has changed; returns those that a subscription is there for."""
        referring = json.dumps([resources["listeners"], resources["clusters"]])
        files = [file for kind in ORDER for file in _files(kind, resources[kind])]
        published = [self._replace(*file) for file in files if self._contents.get(_path(file)) != file[2]]
        heard = [one for one in published if one.path in referring or one.path in ROOTS_OF_ALL]
        self.current |= {one.path: one for one in heard}
        self._forget_all_but({_path(file) for file in files})
        return heard

    def _forget_all_but(self, paths: set[str]) -> None:
        for path in self._contents.keys() - paths:
            (self._directory / path).unlink()
            del self._contents[path]
            self.current.pop(path, None)

    def _replace(self, kind: str, name: str, content: str) -> Published:
        self._count += 1
        digest = hashlib.sha256(content.encode()).hexdigest()[:12]
        version = f"{self._count}-{digest}"
        path = file_of(kind, name)
        target = self._directory / path
        fresh = target.with_suffix(".new")
        fresh.write_text(f'{{"version_info":"{version}","resources":{content}}}')
        fresh.replace(target)
        self._contents[path] = content
        return Published(f"{kind} {name}".strip(), path, STATISTICS[kind].format(name=name), version)


ROOTS_OF_ALL = frozenset(file_of(kind) for kind in IN_ONE_FILE)
"""The files that the bootstrap configuration refers to."""


def _files(kind: str, resources: list[Resource]) -> Iterator[tuple[str, str, str]]:
    typed = [{"@type": TYPES[kind], **resource} for resource in resources]
    if kind in IN_ONE_FILE:
        yield kind, "", json.dumps(typed)
        return
    for resource, message in zip(resources, typed, strict=True):
        yield kind, name_of(kind, resource), json.dumps([message])


def _path(file: tuple[str, str, str]) -> str:
    return file_of(file[0], file[1])
