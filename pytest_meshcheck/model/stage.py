"""The workloads of the stage, by role."""

from pytest_meshcheck.model.workload_spec import Enrolment, WorkloadSpec

SHORTEST = 0.0
"""A ``leaf_lifetime`` that stands for the shortest that the mesh documents."""

STAGE = {
    # fixture: workload
    "client": WorkloadSpec("blue", "client"),
    "other": WorkloadSpec("blue", "other"),
    "server": WorkloadSpec("blue", "server", calls=False),
    "renewing": WorkloadSpec("blue", "renewing", leaf_lifetime=SHORTEST, calls=False),
    "twin_client": WorkloadSpec("green", "client"),
    "twin_server": WorkloadSpec("green", "server", calls=False),
    "outsider": WorkloadSpec("grey", "outsider", Enrolment.UNENROLLED),
    "bystander": WorkloadSpec("grey", "bystander", Enrolment.UNENROLLED),
    "impostor": WorkloadSpec("grey", "impostor", Enrolment.IMPERSONATED),
}
"""Two identities in one namespace, their twins in another, and three workloads without a data plane."""

WHERE_LIFETIMES_ARE_ONE = {"renewing": "other"}
"""Role aliases for meshes with one certificate lifetime: starting fewer workloads is cheaper."""
