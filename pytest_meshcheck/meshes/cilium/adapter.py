"""The factories of the Cilium meshes, one per ``--mesh`` name."""

from pytest_meshcheck.meshes.cilium import variants
from pytest_meshcheck.meshes.cilium.mesh import CiliumMesh
from pytest_meshcheck.meshes.cilium.spire import CiliumSpireMesh
from pytest_meshcheck.meshes.cilium.ztunnel import CiliumZtunnelMesh
from pytest_meshcheck.meshes.registry import MeshRequest


def wireguard(request: MeshRequest) -> CiliumMesh:
    """``--mesh=cilium``: encrypted from node to node by WireGuard.

    Raises:
        MeshUnavailable: The version does not exist, or the charts cannot be fetched.
    """
    return CiliumMesh(request, variants.WIREGUARD)


def ipsec(request: MeshRequest) -> CiliumMesh:
    """``--mesh=cilium-ipsec``: encrypted from node to node by IPsec; raises as ``wireguard``."""
    return CiliumMesh(request, variants.IPSEC)


def spire(request: MeshRequest) -> CiliumMesh:
    """``--mesh=cilium-spire``: mutual authentication outside the connections; raises as ``wireguard``."""
    return CiliumSpireMesh(request)


def ztunnel(request: MeshRequest) -> CiliumMesh:
    """``--mesh=cilium-ztunnel``: mutual TLS between the pods of enrolled namespaces; raises as ``wireguard``."""
    return CiliumZtunnelMesh(request)
