"""The available meshes: entry points of installed packages, and registrations by hooks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, Protocol

from pytest_meshcheck.meshes.base import Mesh

ENTRY_POINTS = "pytest_meshcheck.meshes"


class RegistryError(Exception):
    """There is no such mesh, or two have the same name; the message lists the available ones."""


class Hooks(Protocol):
    """The hooks of the run that an adapter may call."""

    def pytest_meshcheck_envoy_resources(self, *, workload: str, resources: dict[str, Any]) -> dict[str, Any] | None:
        """See ``pytest_meshcheck.hookspecs``."""


class NoHooks:
    """The hooks of an adapter that no pytest run uses."""

    def pytest_meshcheck_envoy_resources(self, *, workload: str, resources: dict[str, Any]) -> None:
        """Change nothing."""


@dataclass(frozen=True)
class MeshRequest:
    """The mesh that the user asked for, as passed to the factory of an adapter.

    Attributes:
        version: The version after ``@``; None for the mesh's default.
        timeout_scale: Factor for all time limits.
        hooks: The hooks of this pytest run.
        charts: Directory or URL of the Helm charts; None for the mesh's own repository.
        installed: Whether to test the mesh that is already installed in the cluster.
        upgrade_to: The version of the upgrade in this run; None without an upgrade.
        values: Helm values that override those of the adapter, by chart or ``*`` for every chart.
    """

    version: str | None
    timeout_scale: float
    hooks: Hooks
    charts: str | None = None
    installed: bool = False
    upgrade_to: str | None = None
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


Factory = Callable[[MeshRequest], Mesh]
"""Makes an adapter, and creates nothing else. Raises ``MeshUnavailable`` if the mesh cannot be provided."""


@dataclass(frozen=True)
class AvailableMesh:
    """One available mesh."""

    name: str
    origin: str
    load: Callable[[], Factory]


@dataclass
class Registry:
    """The meshes by name."""

    entries: dict[str, AvailableMesh] = field(default_factory=dict)

    @classmethod
    def installed(cls) -> "Registry":
        """The meshes of installed packages."""
        registry = cls()
        for point in entry_points(group=ENTRY_POINTS):
            distribution = f"package {point.dist.name}" if point.dist else "an entry point"
            registry.add(AvailableMesh(point.name, f"{distribution} ({point.value})", point.load))
        return registry

    def register(self, name: str, factory: Factory, origin: str = "") -> None:
        """Add a mesh from a hook; ``origin`` describes its source, by default the module of the factory.

        Raises:
            RegistryError: The name is taken.
        """
        self.add(AvailableMesh(name, origin or f"hook ({factory.__module__}:{factory.__qualname__})", lambda: factory))

    def add(self, entry: AvailableMesh) -> None:
        """Add a mesh; RegistryError names both origins if the name is taken."""
        if (known := self.entries.get(entry.name)) and known.origin != entry.origin:
            raise RegistryError(
                f"two meshes are named {entry.name!r}: one from {known.origin}, one from {entry.origin}; "
                "uninstall one of them or rename it"
            )
        self.entries[entry.name] = entry

    def create(self, name: str, request: MeshRequest) -> Mesh:
        """An adapter for the mesh of this name; RegistryError lists the available names."""
        if name not in self.entries:
            raise RegistryError(f"no mesh {name!r}; available: {', '.join(sorted(self.entries)) or 'none'}")
        return self.entries[name].load()(request)
