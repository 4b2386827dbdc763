"""Putting resources where a sidecar's subscriptions look for them: files that are replaced as a whole."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import msgspec

from pytest_meshcheck.meshes.envoy.envoyjson import TYPES, Resource, Resources, file_of, name_of

ORDER = ("secrets", "endpoints", "clusters", "routes", "listeners")
"""What is referred to comes before what refers to it."""

STAGED = "staged"
"""Where files are written: outside of the watched directory, as each write there would wake the sidecar."""

IN_ONE_FILE = ("clusters", "listeners")
WATCHED_FROM_THE_START = tuple(file_of(kind) for kind in IN_ONE_FILE)
"""The files that the bootstrap configuration refers to; what they do not refer to has no subscription."""

REFERENCE = re.compile(rb'"path_config_source":\{"path":"([^"]*)"')

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
        self.current: dict[str, Published] = {}
        self._directory = directory
        self._contents: dict[str, list[Resource]] = {}
        self._staged: dict[str, None] = {}
        self._references: dict[str, set[str]] = {}
        self._count = 0
        for name in ("config", STAGED):
            (directory / name).mkdir(parents=True)

    def stage(self, resources: Resources) -> list[Published]:
        """Write what has changed next to its place; returns those files that a subscription is there for."""
        files = list(_files(resources))
        written = [self._write(file) for file in files if self._contents.get(file.path) != file.resources]
        self._contents = {file.path: file.resources for file in files}
        self.current = {path: one for path, one in self.current.items() if path in self._contents}
        subscribed = set(WATCHED_FROM_THE_START).union(*self._references.values())
        heard = [one for one in written if one.path in subscribed]
        self.current |= {one.path: one for one in heard}
        return heard

    def release(self) -> None:
        """Put in place what was staged."""
        for path in self._staged:
            (self._directory / STAGED / Path(path).name).rename(self._directory / path)
        self._staged.clear()

    def _write(self, file: "_File") -> Published:
        self._count += 1
        typed = [{"@type": TYPES[file.kind], **resource} for resource in file.resources]
        version = f"{self._count}-{sha256(msgspec.json.encode(typed)).hexdigest()[:12]}"
        content = msgspec.json.encode({"version_info": version, "resources": typed})
        with (self._directory / STAGED / Path(file.path).name).open("wb") as staged:
            # With its blocks allocated, ext4 does not write the file out when it replaces another one.
            os.posix_fallocate(staged.fileno(), 0, len(content))
            staged.write(content)
        if file.kind in IN_ONE_FILE:
            self._references[file.path] = {path.decode() for path in REFERENCE.findall(content)}
        # A dict, because a file that is staged twice is put in place once, in the order of the first time.
        self._staged[file.path] = None
        statistics = STATISTICS[file.kind].format(name=file.name)
        return Published(f"{file.kind} {file.name}".strip(), file.path, statistics, version)


@dataclass(frozen=True)
class _File:
    kind: str
    name: str
    resources: list[Resource]

    @property
    def path(self) -> str:
        return file_of(self.kind, self.name)


def _files(resources: Resources) -> Iterator[_File]:
    for kind in ORDER:
        if kind in IN_ONE_FILE:
            yield _File(kind, "", resources[kind])
        else:
            yield from (_File(kind, name_of(kind, resource), [resource]) for resource in resources[kind])
