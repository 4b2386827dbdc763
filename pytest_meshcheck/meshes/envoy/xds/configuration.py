"""The configuration of one sidecar: its resources as messages, each with a version."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.any_pb2 import Any as AnyMessage

from pytest_meshcheck.meshes.envoy.xds.protobuf import NotEnvoy, message
from pytest_meshcheck.meshes.envoy.xds.referenced import ReferencedFilters
from pytest_meshcheck.meshes.envoy.xds.resources import TYPES, Resource, Resources, name_of

REMEMBERED = 4
"""The number of versions kept per resource: policies alternate, and building a message takes time."""


@dataclass(frozen=True)
class Versioned:
    """A published resource.

    Attributes:
        version: Different contents have different versions.
        source: The resource as protobuf-JSON.
        message: The resource as a message.
    """

    version: str
    source: Resource
    message: AnyMessage


class Configuration:
    """The newest resources of one sidecar.

    Attributes:
        malformed: The error of each malformed resource, by kind and name; its last good version stays.
    """

    def __init__(self) -> None:
        self.malformed: dict[tuple[str, str], str] = {}
        self._resources: dict[str, dict[str, Versioned]] = {kind: {} for kind in TYPES}
        self._remembered: dict[tuple[str, str], deque[Versioned]] = {}
        self._referenced = ReferencedFilters()
        self._count = 0

    def replace(self, resources: Resources) -> None:
        """Replace all resources; an unchanged one keeps its version."""
        self.malformed.clear()
        resources = self._referenced.taken_out(resources)
        self._resources = {kind: self._of_kind(kind, resources[kind]) for kind in TYPES}

    def of(self, kind: str) -> Mapping[str, Versioned]:
        """The resources of one kind, by name."""
        return self._resources[kind]

    def _of_kind(self, kind: str, resources: list[Resource]) -> dict[str, Versioned]:
        versions = {name_of(kind, resource): self._version(kind, resource) for resource in resources}
        return {name: version for name, version in versions.items() if version is not None}

    def _version(self, kind: str, resource: Resource) -> Versioned | None:
        name = name_of(kind, resource)
        before = self._resources[kind].get(name)
        if before is not None and before.source is resource:
            return before
        remembered = self._remembered.setdefault((kind, name), deque(maxlen=REMEMBERED))
        for known in remembered:
            if known.source == resource:
                return known
        try:
            packed = message(kind, resource)
        except NotEnvoy as error:
            self.malformed[kind, name] = str(error)
            return before
        self._count += 1
        remembered.append(Versioned(str(self._count), resource, packed))
        return remembered[-1]
