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
"""Verbs that server-side apply needs: https://kubernetes.io/docs/reference/using-api/server-side-apply/."""

PLATFORM = (
    # group, resource, verbs
    Permission("", "namespaces", (*APPLIED, "delete", "list", "watch")),
    Permission("", "serviceaccounts", (*APPLIED, "delete")),
    Permission("", "services", (*APPLIED, "delete")),
    Permission("apps", "deployments", (*APPLIED, "delete")),
    Permission("batch", "jobs", (*APPLIED, "delete")),
    Permission("apps", "daemonsets", APPLIED),
    Permission("", "pods", ("list", "watch")),
    Permission("", "pods/exec", ("create", "get")),
    Permission("", "pods/log", ("get",)),
    Permission("", "events", ("list",)),
)
"""Permissions of every run."""

ADMINISTRATOR = Permission("*", "*", ("*",))
"""Needed to install a mesh: its charts grant roles, and granting a permission requires having it."""

READINESS = (
    Permission("apps", "deployments", ("get", "list", "watch")),
    Permission("apps", "daemonsets", ("list", "watch")),
    Permission("", "pods", ("create",)),
)
"""Needed to find out whether a pre-installed mesh works; pods are only created by dry run."""

IMAGE_LOAD = (Permission("", "nodes", ("list",)),)
"""Permissions of a run that loads the probe image onto the nodes itself."""
