"""Workloads on nodes of their own."""

from pytest_meshcheck.suite import Placement, Workload, WorkloadSpec


def far_from(other: Workload, name: str, *, grace: float = 1.0) -> WorkloadSpec:
    """A workload on another node than ``other``; it goes on for ``grace`` seconds when it has to end."""
    return WorkloadSpec("blue", name, grace=grace, placement=Placement(other.spec, same_node=False))
