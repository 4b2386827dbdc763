"""A pytest plugin (``-p tests.falsify.plant``) that plants one defect, and knows the meshes of this folder."""

from typing import Any

import pytest

from pytest_meshcheck.meshes.base import Home
from pytest_meshcheck.meshes.none import NoMesh
from pytest_meshcheck.meshes.registry import Order, Registry
from tests.falsify.judged import UPGRADABLE
from tests.falsify.meshes import faulty
from tests.falsify.meshes.refusing import RefuseAll
from tests.falsify.meshes.upgrading import Upgradable
from tests.falsify.table import DEFECTS

PLANTABLE = sorted(name for name, defect in DEFECTS.items() if defect.plant)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare ``--plant``."""
    parser.addoption("--plant", choices=PLANTABLE, help="The defect to plant in the embedded mesh.")


def pytest_configure(config: pytest.Config) -> None:
    """Plant the defect that was asked for."""
    if name := config.getoption("--plant"):
        config.pluginmanager.register(Planted(name))


def pytest_meshcheck_register_mesh(registry: Registry) -> None:
    """Offer the meshes that no check may conform on, each faulty mesh under the name of its defect, and a sound one."""
    registry.register(UPGRADABLE, faulty.factory(Upgradable, UPGRADABLE))
    registry.register("no-mesh", no_mesh)
    registry.register("refuse-all", faulty.factory(RefuseAll, "refuse-all"))
    for name, defect in DEFECTS.items():
        if defect.mesh:
            registry.register(name, faulty.factory(defect.mesh, name))


def no_mesh(order: Order) -> NoMesh:
    """The mesh ``none`` without a cluster."""
    return NoMesh(name="no-mesh", version=order.version or "1", runs_on=Home.PROCESSES)


class Planted:
    """The hook by which a defect gets into what is published."""

    def __init__(self, name: str) -> None:
        self._plant = DEFECTS[name].plant

    def pytest_meshcheck_envoy_resources(self, workload: str, resources: dict[str, Any]) -> dict[str, Any]:
        """Publish the resources with the defect in them."""
        if self._plant is not None:
            self._plant(workload, resources)
        return resources
