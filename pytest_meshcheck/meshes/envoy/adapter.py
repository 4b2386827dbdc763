"""How the embedded mesh is asked for: ``--mesh=envoy[@VERSION]``."""

from pytest_meshcheck.meshes.envoy.envoyjson import Resources
from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.meshes.registry import Order


def adapter(order: Order) -> EnvoyMesh:
    """An embedded mesh whose resources pass the hook ``pytest_meshcheck_envoy_resources``.

    Raises:
        MeshUnavailable: Envoy is not installed, or not in that version.
    """

    def published(workload: str, resources: Resources) -> Resources | None:
        return order.hooks.pytest_meshcheck_envoy_resources(workload=workload, resources=resources)

    mesh = EnvoyMesh(
        order.version,
        publish_hook=published,
        hooked=lambda: bool(order.hooks.pytest_meshcheck_envoy_resources.get_hookimpls()),
        timeout_scale=order.timeout_scale,
        hot_restart=order.upgrade_to is not None,
    )
    mesh.prepare()
    return mesh
