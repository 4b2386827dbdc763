"""The factories of the Cilium meshes, one per ``--mesh`` name."""

from pytest_meshcheck.meshes.cilium import flavours
from pytest_meshcheck.meshes.cilium.mesh import CiliumMesh
from pytest_meshcheck.meshes.cilium.ztunnel import CiliumZtunnelMesh
from pytest_meshcheck.meshes.registry import Order


def wireguard(order: Order) -> CiliumMesh:
    """``--mesh=cilium``: encrypted from node to node by WireGuard.

    Raises:
        MeshUnavailable: The version does not exist, or the charts cannot be fetched.
    """
    return CiliumMesh(order, flavours.WIREGUARD)


def ipsec(order: Order) -> CiliumMesh:
    """``--mesh=cilium-ipsec``: encrypted from node to node by IPsec; raises as ``wireguard``."""
    return CiliumMesh(order, flavours.IPSEC)


def spire(order: Order) -> CiliumMesh:
    """``--mesh=cilium-spire``: mutual authentication outside the connections; raises as ``wireguard``."""
    return CiliumMesh(order, flavours.SPIRE)


def ztunnel(order: Order) -> CiliumMesh:
    """``--mesh=cilium-ztunnel``: mutual TLS between the pods of enrolled namespaces; raises as ``wireguard``."""
    return CiliumZtunnelMesh(order)
