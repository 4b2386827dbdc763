"""The permissions that a run needs in a cluster; ``rbac.yaml`` grants exactly these."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Permission:
    """Some verbs on one resource, in all namespaces.

    Attributes:
        group: The API group; empty for the core.
        resource: In the plural, with its subresource, e.g. ``pods/exec``.
        verbs: E.g. ``create``.
    """

    group: str
    resource: str
    verbs: tuple[str, ...]


APPLIED = ("create", "patch")
"""What server-side apply takes: https://kubernetes.io/docs/reference/using-api/server-side-apply/."""

PLATFORM = (
    # group, resource, verbs
    Permission("", "namespaces", (*APPLIED, "delete", "list", "watch")),
    Permission("", "serviceaccounts", (*APPLIED, "delete")),
    Permission("", "services", (*APPLIED, "delete")),
    Permission("apps", "deployments", (*APPLIED, "delete")),
    Permission("apps", "daemonsets", APPLIED),
    Permission("", "pods", ("list", "watch")),
    Permission("", "pods/exec", ("create", "get")),
    Permission("", "pods/log", ("get",)),
    Permission("", "events", ("list",)),
)
"""What every run does."""

ADMINISTRATOR = Permission("*", "*", ("*",))
"""What it takes to install a mesh: its charts grant roles, and nobody can grant what he does not have."""

READINESS = (
    Permission("apps", "deployments", ("get", "list", "watch")),
    Permission("apps", "daemonsets", ("list", "watch")),
    Permission("", "pods", ("create",)),
)
"""What finding out takes whether a mesh that is there works; pods are tried out and never created."""

IMAGE_LOAD = (Permission("", "nodes", ("list",)),)
"""What a run does that brings the probe image onto the nodes itself."""
