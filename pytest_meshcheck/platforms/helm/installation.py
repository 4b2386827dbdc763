"""Records, in the cluster, of what a run installed with Helm, so that others know its owner and can remove it.

A Secret in the namespace that was made for it tells; that namespace, and definitions that were brought besides the
charts', bear ``OURS``.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.base import Manifest
from pytest_meshcheck.platforms.helm.helm import Helm
from pytest_meshcheck.platforms.kubernetes.api.resources import Api, selector
from pytest_meshcheck.platforms.kubernetes.api.server import Object

STATE = "meshcheck"
"""Name of the Secret."""

OURS: Mapping[str, str] = {"app.kubernetes.io/managed-by": "meshcheck"}

NAMESPACES = "/api/v1/namespaces"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
RELEASE = "meta.helm.sh/release-name"


@dataclass(frozen=True)
class Installation:
    """Charts in one namespace.

    Attributes:
        namespace: Made for them.
        run: Who installed them.
        recipe: Tells one way of installing them from another; empty while that is under way.
        releases: In the order in which they are installed, and any that may be there besides.
        groups: API groups whose definitions neither Helm nor the suite made, but what the charts run.
        authority: The archive of the authority that was given to them.
    """

    namespace: str
    run: str
    recipe: str
    releases: tuple[str, ...]
    groups: tuple[str, ...]
    authority: str

    @property
    def secret(self) -> Manifest:
        """What is written down."""
        told = {
            "run": self.run,
            "recipe": self.recipe,
            "releases": " ".join(self.releases),
            "groups": " ".join(self.groups),
            "authority": self.authority,
        }
        metadata = {"name": STATE, "namespace": self.namespace, "labels": OURS}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": told}

    @property
    def by_hand(self) -> str:
        """How to remove it."""
        names = " ".join(reversed(self.releases))
        return f"helm uninstall -n {self.namespace} {names} && kubectl delete namespace {self.namespace}"


def home(namespace: str) -> Manifest:
    """The namespace that an installation is made in."""
    labels = {**OURS, "pod-security.kubernetes.io/enforce": "privileged"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}


async def installation_in(api: Api, namespace: str) -> Installation | None:
    """What is installed in a namespace; None where it is not the suite's.

    Raises:
        Inconclusive: The Secret is none that the suite has written.
    """
    secret = await api.read(f"/api/v1/namespaces/{namespace}/secrets/{STATE}")
    if secret is None:
        return None
    told = _decoded(secret)
    return Installation(
        namespace=namespace,
        run=told.get("run", "(unknown)"),
        recipe=told["recipe"],
        releases=tuple(told.get("releases", "").split()),
        groups=tuple(told.get("groups", "").split()),
        authority=told["authority"],
    )


async def installed_by(api: Api, run: str) -> list[Installation]:
    """What one run has installed in a cluster."""
    homes, _ = await api.items(NAMESPACES, selector(OURS))
    found = [await installation_in(api, home["metadata"]["name"]) for home in homes]
    return [one for one in found if one is not None and one.run == run]


async def remove(api: Api, program: Helm, installation: Installation, patience: float) -> None:
    """Remove the charts, the definitions that came with them, and the namespace; each may take so many seconds.

    The namespace is gone then: to the next run, what is about to go would be somebody else's mesh.

    Raises:
        Inconclusive: Helm cannot remove a chart, or the namespace does not go away.
    """
    definitions, _ = await api.items(DEFINITIONS)
    left = [_named(one) for one in definitions if _came_with(installation, one)]
    for name in reversed(installation.releases):
        await program.uninstall(name, installation.namespace, wait=patience)
    for definition in left:
        await api.delete(definition)
    await api.delete(home(installation.namespace))

    def is_gone(namespaces: Sequence[Object]) -> bool:
        return all(one["metadata"]["name"] != installation.namespace for one in namespaces)

    try:
        await api.until(NAMESPACES, selector(OURS), is_gone, patience)
    except TimeoutError as late:
        raise Inconclusive(f"the namespace {installation.namespace} does not go away") from late


def _came_with(installation: Installation, definition: Object) -> bool:
    metadata = definition["metadata"]
    return (
        metadata.get("annotations", {}).get(RELEASE) in installation.releases
        or definition["spec"]["group"] in installation.groups
        or metadata.get("labels", {}).items() >= OURS.items()
    )


def _named(definition: Object) -> Manifest:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": definition["metadata"]["name"]},
    }


def _decoded(secret: Object) -> dict[str, str]:
    try:
        return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    except (binascii.Error, UnicodeDecodeError, KeyError) as error:
        namespace = secret["metadata"]["namespace"]
        raise Inconclusive(f"the Secret {STATE} in {namespace} is not the suite's: {error}") from error
