"""Revisions: control planes of Istio side by side, each responsible for the pods labelled with its name.

https://istio.io/latest/docs/setup/upgrade/helm/#canary-upgrade-recommended
"""

import re
from collections.abc import Mapping
from typing import Any

from pytest_meshcheck.meshes.istio.policies import ROOT_NAMESPACE
from pytest_meshcheck.meshes.kubernetes.readiness import deployments
from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.platforms.base import Manifest
from pytest_meshcheck.platforms.helm.helm import Release
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.api.server import Object

REVISION = "istio.io/rev"
"""On a pod or a resource, the label that names its control plane; on a control plane, its own revision."""

INJECTION = "istio-injection"
"""The label of a namespace whose pods belong to the control plane without a revision."""

ISTIOD = "app=istiod"
DEFAULT = "default"
"""The revision label of a control plane without a revision."""

UNNAMED = ""


def revision_of(version: str) -> str:
    """The revision for a version, such as 1-30-3 for 1.30.3."""
    return re.sub(r"[^a-z0-9]+", "-", version.lower()).strip("-")


def istiod(revision: str) -> str:
    """The common name of release, deployment and service."""
    return f"istiod-{revision}" if revision else "istiod"


def definitions(default: str) -> Release:
    """The chart of the definitions, with the webhook that has the default control plane validate configuration."""
    values = {"defaultRevision": default} if default else {}
    return Release("istio-base", "base", ROOT_NAMESPACE, values)


def control_plane(revision: str, values: Mapping[str, Any]) -> Release:
    """The chart of a control plane."""
    return Release(istiod(revision), "istiod", ROOT_NAMESPACE, {**values, "revision": revision} if revision else values)


def labels(revision: str) -> dict[str, str]:
    """The labels of a pod that belongs to a control plane."""
    return {REVISION: revision} if revision else {}


def labelled(resource: Manifest, revision: str) -> Manifest:
    """A resource with the label of its control plane, which handles only its own resources."""
    if not revision:
        return resource
    metadata = resource["metadata"]
    return {**resource, "metadata": {**metadata, "labels": {**metadata.get("labels", {}), REVISION: revision}}}


async def installed(api: Api) -> tuple[str, str]:
    """The revision and version of the installed control plane.

    Raises:
        MeshUnavailable: There is none, or there are several without a default.
    """
    found, _ = await api.items(deployments(ROOT_NAMESPACE), ISTIOD)
    there = {_revision(deployment): deployment for deployment in found}
    if not there:
        raise MeshUnavailable(f"no istiod in {ROOT_NAMESPACE}: omit --mesh-installed to install it")
    if len(there) > 1 and UNNAMED not in there:
        raise MeshUnavailable(
            f"several istiods in {ROOT_NAMESPACE}, none without a revision: {', '.join(sorted(there))}; "
            "uninstall all but the one to test"
        )
    revision = UNNAMED if UNNAMED in there else next(iter(there))
    return revision, _version(there[revision])


def _revision(deployment: Object) -> str:
    revision = str(deployment["metadata"].get("labels", {}).get(REVISION, DEFAULT))
    return UNNAMED if revision == DEFAULT else revision


def released(tag: str) -> str:
    """The version in the tag of an image, without the variant of the image; empty if there is none."""
    found = re.match(r"v?(\d+\.\d+\.\d+(-(alpha|beta|rc)\.\d+)?)", tag)
    return found[1] if found else ""


def _version(deployment: Object) -> str:
    """The version by the image's tag, as the label of charts from a source tree is a placeholder."""
    template = deployment["spec"]["template"]
    name = str(template["spec"]["containers"][0]["image"]).partition("@")[0].rpartition("/")[2]
    tag = name.partition(":")[2]
    label = template["metadata"].get("labels", {}).get("app.kubernetes.io/version")
    return released(tag) or str(label or tag or "(unknown)")
