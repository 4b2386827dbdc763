"""Registers a mesh that is not installed as a package."""

from acme_mesh.adapter import acme
from pytest_meshcheck.meshes.registry import Registry


def pytest_meshcheck_register_mesh(registry: Registry) -> None:
    """Make ``--mesh=acme`` known."""
    registry.register("acme", acme)
