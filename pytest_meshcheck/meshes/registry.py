"""Which meshes there are: entry points of installed packages, and what hooks register."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, Protocol

from pytest_meshcheck.meshes.base import Mesh

ENTRY_POINTS = "pytest_meshcheck.meshes"


class RegistryError(Exception):
    """No such mesh, or two of one name; the message lists what there is."""


class Hooks(Protocol):
    """The hooks of the run that an adapter may call."""

    def pytest_meshcheck_envoy_resources(self, *, workload: str, resources: dict[str, Any]) -> dict[str, Any] | None:
        """See ``pytest_meshcheck.hookspecs``."""


class NoHooks:
    """The hooks where there is no pytest run."""

    def pytest_meshcheck_envoy_resources(self, *, workload: str, resources: dict[str, Any]) -> None:
        """Change nothing."""


@dataclass(frozen=True)
class Order:
    """What the user asked for, handed to an adapter's factory.

    Attributes:
        version: The version after ``@``; None for the mesh's default.
        timeout_scale: What every patience is to be multiplied by.
        hooks: The hooks of this pytest run.
        charts: Directory or URL of the Helm charts; None for the mesh's own repository.
        installed: Whether the mesh is in the cluster already, and is to be judged as it is.
        upgrade_to: The version that it is moved to in this run; None: it stays as it is.
        values: By the name of a chart, or ``*`` for every chart: what overrules the values that the adapter gives it.
    """

    version: str | None
    timeout_scale: float
    hooks: Hooks
    charts: str | None = None
    installed: bool = False
    upgrade_to: str | None = None
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


Factory = Callable[[Order], Mesh]
"""Makes an adapter. It raises ``MeshUnavailable`` where the mesh cannot be had, before anything is created."""


@dataclass(frozen=True)
class Entry:
    """One mesh that can be asked for."""

    name: str
    origin: str
    load: Callable[[], Factory]


@dataclass
class Registry:
    """The meshes by name."""

    entries: dict[str, Entry] = field(default_factory=dict)

    @classmethod
    def installed(cls) -> "Registry":
        """Those of installed packages."""
        registry = cls()
        for point in entry_points(group=ENTRY_POINTS):
            distribution = f"package {point.dist.name}" if point.dist else "an entry point"
            registry.add(Entry(point.name, f"{distribution} ({point.value})", point.load))
        return registry

    def register(self, name: str, factory: Factory, origin: str = "") -> None:
        """Add a mesh from a hook; ``origin`` says where it comes from, by default the factory's module.

        Raises:
            RegistryError: There is one of that name already.
        """
        self.add(Entry(name, origin or f"hook ({factory.__module__}:{factory.__qualname__})", lambda: factory))

    def add(self, entry: Entry) -> None:
        """Add a mesh; RegistryError names both origins where the name is taken."""
        if (known := self.entries.get(entry.name)) and known.origin != entry.origin:
            raise RegistryError(
                f"two meshes are named {entry.name!r}: one from {known.origin}, one from {entry.origin}; "
                "uninstall one of them or rename it"
            )
        self.entries[entry.name] = entry

    def create(self, name: str, order: Order) -> Mesh:
        """An adapter for the mesh of that name; RegistryError lists the names there are."""
        if name not in self.entries:
            raise RegistryError(f"no mesh {name!r}; available: {', '.join(sorted(self.entries)) or 'none'}")
        return self.entries[name].load()(order)
