"""The embedded mesh: real Envoy sidecars as local processes."""

from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh

__all__ = ["EnvoyMesh"]
