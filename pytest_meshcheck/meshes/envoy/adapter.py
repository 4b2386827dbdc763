"""The factory of the embedded mesh, ``--mesh=envoy[@VERSION]``."""

from typing import TYPE_CHECKING

from pluggy import HookCaller

from pytest_meshcheck.meshes.envoy.process import binary
from pytest_meshcheck.meshes.envoy.xds.resources import Resources
from pytest_meshcheck.meshes.registry import MeshRequest

if TYPE_CHECKING:
    from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh


def adapter(request: MeshRequest) -> "EnvoyMesh":
    """An embedded mesh whose resources pass the hook ``pytest_meshcheck_envoy_resources``.

    Raises:
        MeshUnavailable: Envoy or its message classes are not installed, or the version is not available.
    """
    binary.refuse_without_messages()
    from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh  # noqa: PLC0415 - it imports the message classes

    def published(workload: str, resources: Resources) -> Resources | None:
        return request.hooks.pytest_meshcheck_envoy_resources(workload=workload, resources=resources)

    mesh = EnvoyMesh(
        request.version,
        publish_hook=published,
        hooked=lambda: _is_implemented(request.hooks.pytest_meshcheck_envoy_resources),
        timeout_scale=request.timeout_scale,
        hot_restart=request.upgrade_to is not None,
    )
    mesh.prepare()
    return mesh


def _is_implemented(hook: object) -> bool:
    """Whether any plugin implements a hook; a conftest.py may add one during the run."""
    return not isinstance(hook, HookCaller) or bool(hook.get_hookimpls())
