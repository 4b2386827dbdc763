"""The workloads of the stage, by role: two identities in one namespace, their twins in another, and others outside."""

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_meshcheck.model.workload_spec import Enrolment, WorkloadSpec

SHORTEST = 0.0
"""A ``leaf_lifetime`` that stands for the shortest that the mesh documents."""


@dataclass(frozen=True)
class Role:
    """A workload of the stage.

    Attributes:
        spec: What is started for it.
        description: The description of its fixture, which is called ``mesh_`` and the role.
    """

    spec: WorkloadSpec
    description: str


STAGE: Mapping[str, Role] = {
    "client": Role(WorkloadSpec("blue", "client"), "An enrolled client workload in the namespace blue."),
    "other": Role(
        WorkloadSpec("blue", "other"),
        "A second enrolled client in blue, with an identity of its own.",
    ),
    "server": Role(WorkloadSpec("blue", "server", calls=False), "An enrolled server workload in blue."),
    "renewing": Role(
        WorkloadSpec("blue", "renewing", leaf_lifetime=SHORTEST, calls=False),
        "An enrolled workload in blue with the shortest certificate lifetime that the mesh allows.",
    ),
    "twin_client": Role(
        WorkloadSpec("green", "client"),
        "An enrolled client with the same name as ``mesh_client``, in the namespace green.",
    ),
    "twin_server": Role(
        WorkloadSpec("green", "server", calls=False),
        "An enrolled server with the same name as ``mesh_server``, in the namespace green.",
    ),
    "outsider": Role(WorkloadSpec("grey", "outsider", Enrolment.UNENROLLED), "A client outside the mesh."),
    "bystander": Role(WorkloadSpec("grey", "bystander", Enrolment.UNENROLLED), "A server outside the mesh."),
    "impostor": Role(
        WorkloadSpec("grey", "impostor", Enrolment.IMPERSONATED),
        "A server without a data plane that the mesh believes to be enrolled; it speaks TLS itself.",
    ),
}

WHERE_LIFETIMES_ARE_ONE = {"renewing": "other"}
"""Role aliases for meshes with one certificate lifetime: starting fewer workloads is cheaper."""
