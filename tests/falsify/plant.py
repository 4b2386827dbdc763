"""A pytest plugin (``-p tests.falsify.plant``) that knows the meshes of this folder: each defect is a mesh's name."""

from pytest_meshcheck.meshes.base import PlatformKind
from pytest_meshcheck.meshes.none import NoMesh
from pytest_meshcheck.meshes.registry import MeshRequest, Registry
from tests.falsify.judged import UPGRADABLE
from tests.falsify.meshes import faulty
from tests.falsify.meshes.refusing import RefuseAll
from tests.falsify.meshes.upgrading import Upgradable
from tests.falsify.table import DEFECTS
from tests.falsify.variants import VARIANTS


def pytest_meshcheck_register_mesh(registry: Registry) -> None:
    """Offer the meshes that no check may conform on, each faulty mesh under the name of its defect, and sound ones."""
    registry.register(UPGRADABLE, faulty.factory(Upgradable, UPGRADABLE))
    for name, variant in VARIANTS.items():
        registry.register(name, faulty.factory(variant.mesh, name))
    registry.register("no-mesh", no_mesh)
    registry.register("refuse-all", faulty.factory(RefuseAll, "refuse-all"))
    for name, defect in DEFECTS.items():
        if defect.mesh:
            registry.register(name, faulty.factory(defect.mesh, name))
        elif defect.plant:
            registry.register(name, faulty.factory(faulty.planted(defect.plant), name))


def no_mesh(order: MeshRequest) -> NoMesh:
    """The mesh ``none`` without a cluster."""
    return NoMesh(name="no-mesh", version=order.version or "1", runs_on=PlatformKind.PROCESSES)
