"""Kubernetes objects as a user wrote them, each with its place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_meshcheck.manifests.errors import ManifestError
from pytest_meshcheck.platforms.base import Manifest


@dataclass(frozen=True, order=True)
class Place:
    """Where something is written.

    Attributes:
        file: The path as given, or ``-`` for standard input.
        line: From 1.
    """

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    def error(self, why: str) -> ManifestError:
        """An error about this place."""
        return ManifestError(f"{self}: {why}")


@dataclass(frozen=True, eq=False)
class KubernetesObject:
    """One object.

    Attributes:
        manifest: As written, with ``apiVersion``, ``kind`` and ``metadata.name``.
        place: Where it begins.
    """

    manifest: Manifest
    place: Place

    @property
    def kind(self) -> str:
        """Its kind."""
        return str(self.manifest["kind"])

    @property
    def group(self) -> str:
        """The group of its API, without the version; empty for the core group."""
        version = str(self.manifest["apiVersion"])
        return version.rpartition("/")[0]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.metadata["name"])

    @property
    def namespace(self) -> str:
        """The namespace that it names; empty if it names none."""
        return str(self.metadata.get("namespace") or "")

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Its metadata."""
        metadata: Mapping[str, Any] = self.manifest["metadata"]
        return metadata

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return texts(self.metadata.get("labels"))

    @property
    def annotations(self) -> dict[str, str]:
        """Its annotations."""
        return texts(self.metadata.get("annotations"))

    @property
    def spec(self) -> Mapping[str, Any]:
        """Its specification; empty without one."""
        spec = self.manifest.get("spec")
        return spec if isinstance(spec, Mapping) else {}

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What no two objects share: group, kind, namespace and name."""
        return self.group, self.kind, self.namespace, self.name

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


def texts(given: Any) -> dict[str, str]:
    """Labels or annotations as Kubernetes would store them; empty if none are given."""
    return {str(name): "" if value is None else str(value) for name, value in (given or {}).items()}
