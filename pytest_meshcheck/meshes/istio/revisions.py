"""Revisions: control planes of Istio side by side, each with the pods that are labelled with its name.

https://istio.io/latest/docs/setup/upgrade/helm/#canary-upgrade-recommended
"""

import re
from collections.abc import Mapping
from typing import Any

from pytest_meshcheck.meshes.istio.policies import ROOT_NAMESPACE
from pytest_meshcheck.meshes.kubernetes.readiness import deployments
from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.platforms.helm.helm import Release
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.api.server import Object

REVISION = "istio.io/rev"
"""Label of a pod: whose it is. Label of a control plane: its name."""

INJECTION = "istio-injection"
"""Label of a namespace whose pods belong to the control plane without a revision."""

ISTIOD = "app=istiod"
DEFAULT = "default"
"""What a control plane without a revision calls itself."""

UNNAMED = ""


def revision_of(version: str) -> str:
    """What the control plane of a version is called beside another: 1-30-3 for 1.30.3."""
    return re.sub(r"[^a-z0-9]+", "-", version.lower()).strip("-")


def istiod(revision: str) -> str:
    """The name of release, deployment and service."""
    return f"istiod-{revision}" if revision else "istiod"


def definitions(default: str) -> Release:
    """Definitions, and the webhook that validates configuration by the control plane that is the default."""
    values = {"defaultRevision": default} if default else {}
    return Release("istio-base", "base", ROOT_NAMESPACE, values)


def control_plane(revision: str, values: Mapping[str, Any]) -> Release:
    """A control plane."""
    return Release(istiod(revision), "istiod", ROOT_NAMESPACE, {**values, "revision": revision} if revision else values)


def labels(revision: str) -> dict[str, str]:
    """What a pod bears that belongs to a control plane."""
    return {REVISION: revision} if revision else {}


async def installed(api: Api) -> tuple[str, str]:
    """Revision and version of the control plane that is in the cluster.

    Raises:
        MeshUnavailable: There is none, or there are several and none of them is the default.
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
    """The version that an image's tag says, without the variant of the image; empty where it says none."""
    found = re.match(r"v?(\d+\.\d+\.\d+(-(alpha|beta|rc)\.\d+)?)", tag)
    return found[1] if found else ""


def _version(deployment: Object) -> str:
    """What the image's tag says; the label of charts from a source tree is a placeholder."""
    template = deployment["spec"]["template"]
    name = str(template["spec"]["containers"][0]["image"]).partition("@")[0].rpartition("/")[2]
    tag = name.partition(":")[2]
    told = template["metadata"].get("labels", {}).get("app.kubernetes.io/version")
    return released(tag) or str(told or tag or "(unknown)")
