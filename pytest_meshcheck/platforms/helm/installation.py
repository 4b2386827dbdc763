"""Records, in the cluster, of a run's Helm installations, so that others know its owner and can remove it.

The record is a Secret in the namespace of the mesh; that namespace, and definitions that did not come with a chart,
have the labels ``OURS``. Until the Secret is there, a label of the namespace names the run that created it.
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
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import PRIVILEGED

STATE = "meshcheck"
"""Name of the Secret."""

OURS: Mapping[str, str] = {"app.kubernetes.io/managed-by": "meshcheck"}
INSTALLED_BY = "meshcheck.dev/installed-by"
"""The label of a mesh's namespace with the run that created it."""

NAMESPACES = "/api/v1/namespaces"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
RELEASE = "meta.helm.sh/release-name"
RELEASE_NAMESPACE = "meta.helm.sh/release-namespace"


@dataclass(frozen=True)
class Installation:
    """Charts in one namespace.

    Attributes:
        namespace: Created for them.
        run: The run that installed them.
        recipe: Identifies how they were installed; empty during installation.
        releases: In the order of their installation, then any others that may be there; none if a run was interrupted
            when there was nothing but the namespace.
        groups: API groups whose definitions the programs of the charts create.
        authority: The archive of the authority that they use.
        foreign: The names of the definitions that the cluster had before; they stay.
    """

    namespace: str
    run: str
    recipe: str
    releases: tuple[str, ...]
    groups: tuple[str, ...]
    authority: str
    foreign: frozenset[str] = frozenset()

    @property
    def secret(self) -> Manifest:
        """The Secret that records it."""
        data = {
            "run": self.run,
            "recipe": self.recipe,
            "releases": " ".join(self.releases),
            "groups": " ".join(self.groups),
            "authority": self.authority,
            "foreign": " ".join(sorted(self.foreign)),
        }
        metadata = {"name": STATE, "namespace": self.namespace, "labels": OURS}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}

    @property
    def by_hand(self) -> str:
        """The commands that remove it."""
        names = " ".join(reversed(self.releases))
        charts = f"helm uninstall -n {self.namespace} {names} && " if names else ""
        return f"{charts}kubectl delete namespace {self.namespace}"


def home(namespace: str, run: str) -> Manifest:
    """The namespace of an installation by a run."""
    labels = {**OURS, INSTALLED_BY: run, **PRIVILEGED}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}


async def installation_in(api: Api, namespace: str) -> Installation | None:
    """The installation in a namespace; None if the suite did not install it.

    Raises:
        Inconclusive: The Secret was not written by the suite.
    """
    secret = await api.read(f"{NAMESPACES}/{namespace}/secrets/{STATE}")
    if secret is None:
        return await _begun(api, namespace)
    data = _decoded(secret)
    return Installation(
        namespace=namespace,
        run=data.get("run", "(unknown)"),
        recipe=data["recipe"],
        releases=tuple(data.get("releases", "").split()),
        groups=tuple(data.get("groups", "").split()),
        authority=data["authority"],
        foreign=frozenset(data.get("foreign", "").split()),
    )


async def _begun(api: Api, namespace: str) -> Installation | None:
    """An installation that was interrupted before it had a record, by the label of its namespace."""
    found = await api.read(f"{NAMESPACES}/{namespace}")
    run = found["metadata"].get("labels", {}).get(INSTALLED_BY) if found else None
    return Installation(namespace, run, recipe="", releases=(), groups=(), authority="") if run else None


async def foreign_definitions(api: Api) -> frozenset[str]:
    """The names of the definitions in a cluster that the suite did not create."""
    definitions, _ = await api.items(DEFINITIONS)
    return frozenset(one["metadata"]["name"] for one in definitions if not _is_ours(one))


async def installed_by(api: Api, run: str) -> list[Installation]:
    """The installations of one run in a cluster."""
    homes, _ = await api.items(NAMESPACES, selector(OURS))
    found = [await installation_in(api, home["metadata"]["name"]) for home in homes]
    return [one for one in found if one is not None and one.run == run]


async def remove(api: Api, program: Helm, installation: Installation, patience: float) -> None:
    """Remove the charts, the definitions that came with them, and the namespace; each within ``patience`` seconds.

    Returns once the namespace is gone: the next run would take a terminating one for another mesh.

    Raises:
        Inconclusive: Helm cannot remove a chart, or the namespace does not go away.
    """
    definitions, _ = await api.items(DEFINITIONS)
    left = [_named(one) for one in definitions if _came_with(installation, one)]
    for name in reversed(installation.releases):
        await program.uninstall(name, installation.namespace, wait=patience)
    for definition in left:
        await api.delete(definition)
    await api.delete(home(installation.namespace, installation.run))

    def is_gone(namespaces: Sequence[Object]) -> bool:
        return all(one["metadata"]["name"] != installation.namespace for one in namespaces)

    try:
        await api.until(NAMESPACES, selector(OURS), is_gone, patience)
    except TimeoutError as late:
        raise Inconclusive(f"the namespace {installation.namespace} is still there after {patience:.0f} s") from late


def _came_with(installation: Installation, definition: Object) -> bool:
    if not installation.releases or definition["metadata"]["name"] in installation.foreign:
        return False
    annotations = definition["metadata"].get("annotations", {})
    of_chart = (
        annotations.get(RELEASE) in installation.releases
        and annotations.get(RELEASE_NAMESPACE) == installation.namespace
    )
    return of_chart or definition["spec"]["group"] in installation.groups or _is_ours(definition)


def _is_ours(definition: Object) -> bool:
    return bool(definition["metadata"].get("labels", {}).items() >= OURS.items())


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
