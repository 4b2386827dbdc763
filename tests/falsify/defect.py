"""What a planted defect is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh

Resources = dict[str, list[dict[str, Any]]]
Plant = Callable[[str, Resources], None]
"""Changes the resources of one sidecar, ``namespace/name``, in place before they are published."""


@dataclass(frozen=True)
class Defect:
    """One fault that a mesh could have, with the checks that have to see it.

    Attributes:
        description: What the mesh does wrong, in one sentence fit to publish.
        kills: Ids, with parameters where they have some, of checks whose verdict has to be ``violates``.
        plant: The fault in a data plane; one state for the whole run, where it has any.
        mesh: The embedded mesh with the fault in its control plane; None for the sound one.
    """

    description: str
    kills: tuple[str, ...]
    plant: Plant | None = None
    mesh: type[EnvoyMesh] | None = None

    @property
    def checks(self) -> tuple[str, ...]:
        """The ids of the checks that it kills, without parameters."""
        return tuple(dict.fromkeys(selector.partition("[")[0] for selector in self.kills))


Defects = Mapping[str, Defect]
