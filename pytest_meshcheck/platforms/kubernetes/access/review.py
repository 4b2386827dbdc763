"""The permissions of a run in a cluster, checked before anything is created.

https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.platforms.kubernetes.access.permissions import ADMINISTRATOR, Permission
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.api.server import UNREACHABLE, Refused

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


async def lacking(kubeconfig: Path | None, context: str | None, permissions: Sequence[Permission]) -> list[str]:
    """The permissions that the user lacks in all namespaces, e.g. ``create namespaces``.

    Raises:
        MeshUnavailable: The cluster cannot be reached, or refuses the question.
    """
    api = await Api.connect(kubeconfig, context)
    try:
        await api.version()
        return await _lacking(api, permissions)
    finally:
        await api.close()


async def _lacking(api: Api, permissions: Sequence[Permission]) -> list[str]:
    single = [(verb, permission) for permission in dict.fromkeys(permissions) for verb in permission.verbs]
    try:
        allowed = await asyncio.gather(*(_may(api, verb, permission) for verb, permission in single))
    except Refused as error:
        raise MeshUnavailable(f"the API server does not say what is allowed: {error}") from error
    except UNREACHABLE as error:
        raise MeshUnavailable(f"the API server cannot be reached: {error}") from error
    lacked = [(verb, one) for (verb, one), may in zip(single, allowed, strict=True) if not may]
    if any(one == ADMINISTRATOR for _, one in lacked):
        return ["administer the cluster, which installing a mesh requires"]
    return [f"{verb} {_named(one)}" for verb, one in lacked]


async def _may(api: Api, verb: str, permission: Permission) -> bool:
    resource, _, subresource = permission.resource.partition("/")
    asked = {"group": permission.group, "resource": resource, "subresource": subresource, "verb": verb}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    return bool((await api.request("POST", REVIEWS, body=review))["status"]["allowed"])


def _named(permission: Permission) -> str:
    return f"{permission.resource}.{permission.group}" if permission.group else permission.resource
