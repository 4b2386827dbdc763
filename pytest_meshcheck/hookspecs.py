"""Hooks that pytest-meshcheck calls; implement them in a conftest.py or a plugin."""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_meshcheck.meshes.registry import Registry


@pytest.hookspec
def pytest_meshcheck_register_mesh(registry: "Registry") -> None:
    """Register a mesh: ``registry.register("acme", factory)``.

    Called once, before ``--mesh`` is looked up. Packages should use the entry point ``pytest_meshcheck.meshes``.
    """


@pytest.hookspec(firstresult=True)
def pytest_meshcheck_envoy_resources(workload: str, resources: dict[str, Any]) -> dict[str, Any] | None:
    """Change the resources that the embedded mesh publishes to one sidecar, to plant a defect or to try a setting.

    Called before each publication. The returned resources are published instead; None changes nothing.

    Args:
        workload: ``namespace/name`` of the sidecar's workload.
        resources: The lists ``listeners``, ``clusters``, ``routes``, ``endpoints``, ``secrets`` and ``filters`` (those
            that listeners refer to) of Envoy v3 resources as plain protobuf-JSON dicts, certificates inline. It is a
            copy and may be changed in place.
    """
