"""The workloads of the stage, by role: two identities in one namespace, their twins in another, and others outside."""

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_meshcheck.model.workload_spec import Enrolment, Placement, WorkloadSpec

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


CLIENT = WorkloadSpec("blue", "client")

STAGE: Mapping[str, Role] = {
    "client": Role(CLIENT, "An enrolled client workload in the namespace blue."),
    "second_client": Role(
        WorkloadSpec("blue", "second-client"),
        "A second enrolled client in blue, with an identity of its own.",
    ),
    "server": Role(WorkloadSpec("blue", "server", calls=False), "An enrolled server workload in blue."),
    "far_server": Role(
        WorkloadSpec("blue", "far-server", calls=False, placement=Placement(CLIENT, same_node=False)),
        "An enrolled server in blue; in a cluster on another node than ``mesh_client``.",
    ),
    "short_lived": Role(
        WorkloadSpec("blue", "short-lived", leaf_lifetime=SHORTEST),
        "An enrolled workload in blue with the shortest certificate lifetime that the mesh allows.",
    ),
    "client_in_green": Role(
        WorkloadSpec("green", "client"),
        "An enrolled client with the same name as ``mesh_client``, in the namespace green.",
    ),
    "server_in_green": Role(
        WorkloadSpec("green", "server", calls=False),
        "An enrolled server with the same name as ``mesh_server``, in the namespace green.",
    ),
    "outsider": Role(WorkloadSpec("grey", "outsider", Enrolment.UNENROLLED), "A client outside the mesh."),
    "plain_server": Role(WorkloadSpec("grey", "plain-server", Enrolment.UNENROLLED), "A server outside the mesh."),
    "impostor": Role(
        WorkloadSpec("grey", "impostor", Enrolment.IMPERSONATED),
        "A server without a data plane that the mesh believes to be enrolled; it speaks TLS itself.",
    ),
}

WHERE_LIFETIMES_ARE_ONE = {"short_lived": "second_client"}
"""Role aliases for meshes with one certificate lifetime: starting fewer workloads is cheaper."""
