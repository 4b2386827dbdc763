"""The Gateway API in a cluster: its definitions, which some meshes lack, and the status of its resources."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from pytest_meshcheck.model.errors import Inconclusive, MeshUnavailable
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.api.server import Object

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ROUTES = "httproutes.gateway.networking.k8s.io"
RELEASE = "https://github.com/kubernetes-sigs/gateway-api/releases/download/{version}/experimental-install.yaml"
"""The experimental channel: only there HTTPRoute has ``retry``."""

FOLDER = "gateway-api"
"""The folder of the definitions in a directory of charts."""

GROUP = "gateway.networking.k8s.io"
SERVED = f"/apis/{GROUP}/v1"
GATEWAY_NAME = "gateway.networking.k8s.io/gateway-name"
"""The label of objects that belong to a Gateway; https://gateway-api.sigs.k8s.io/geps/gep-1762/."""

TAKEN = ("Accepted", "ResolvedRefs")
"""The conditions of an accepted route."""

ESTABLISHED_WITHIN = 30.0
FETCHED_WITHIN = 60.0


async def ensure(
    api: Api, version: str, charts: str | None, labels: Mapping[str, str], scale: float = 1.0, *, upgrade: bool = False
) -> None:
    """Install the definitions, unless the cluster already has them.

    Args:
        api: The cluster.
        version: The release, e.g. ``v1.4.1``.
        charts: The source of charts; a directory may contain the definitions, under ``gateway-api``.
        labels: The labels by which their creator can delete them.
        scale: Factor for all time limits.
        upgrade: Whether those that a run has installed are replaced.

    Raises:
        MeshUnavailable: They cannot be fetched, or are of the standard channel; with the next step.
        Inconclusive: The API server does not accept them.
    """
    present = await api.read(f"{DEFINITIONS}/{ROUTES}")
    if present is not None and not (upgrade and labels.items() <= present["metadata"].get("labels", {}).items()):
        _refuse_without_retry([present], "in the cluster")
        return
    made = local(charts)
    if made is not None:
        _refuse_without_retry(made, f"in {Path(charts or '', FOLDER)}")
    for definition in made if made is not None else await _released(version):
        definition["metadata"]["labels"] = {**definition["metadata"].get("labels", {}), **labels}
        await api.apply(definition)
    await established(api, {ROUTES}, ESTABLISHED_WITHIN * scale)


async def established(api: Api, names: set[str], within: float) -> None:
    """Wait until the API server serves the defined kinds.

    Raises:
        Inconclusive: It does not within this time; names the missing kinds.
    """
    served: set[str] = set()

    def all_served(definitions: Sequence[Object]) -> bool:
        served.clear()
        served.update(one["metadata"]["name"] for one in definitions if _established(one))
        return names <= served

    try:
        await api.until(DEFINITIONS, "", all_served, within)
    except TimeoutError as late:
        missing = ", ".join(sorted(names - served))
        raise Inconclusive(f"after {within:.0f} s the cluster does not define {missing}") from late


async def programmed(api: Api, namespace: str, name: str, within: float) -> None:
    """Wait until the controller of a Gateway reports it as programmed.

    Raises:
        Inconclusive: It does not within this time, in seconds; with the reported conditions.
    """
    stated = "no controller has accepted it"

    def is_programmed(gateways: Sequence[Object]) -> bool:
        nonlocal stated
        mine = [one for one in gateways if one["metadata"]["name"] == name]
        said = [condition for one in mine for condition in _conditions(one, one.get("status", {}))]
        stated = "; ".join(_stated(one) for one in said if one["status"] != "True") or stated
        return any(one["type"] == "Programmed" and one["status"] == "True" for one in said)

    try:
        await api.until(f"{SERVED}/namespaces/{namespace}/gateways", "", is_programmed, within)
    except TimeoutError as late:
        raise Inconclusive(f"after {within:.0f} s the Gateway {namespace}/{name} is not programmed: {stated}") from late


async def routes_taken(api: Api, namespaces: Collection[str], within: float) -> None:
    """Wait until the controllers of all parents have accepted the present HTTPRoutes in these namespaces.

    Raises:
        Inconclusive: One is rejected, or has no status within this time, in seconds.
    """
    waiting: list[str] = []

    def all_taken(routes: Sequence[Object]) -> bool:
        mine = [one for one in routes if one["metadata"]["namespace"] in namespaces]
        waiting[:] = [one["metadata"]["name"] for one in mine if not _is_taken(one)]
        return not waiting

    try:
        await api.until(f"{SERVED}/httproutes", "", all_taken, within)
    except TimeoutError as late:
        raise Inconclusive(f"after {within:.0f} s no controller has accepted the HTTPRoute {waiting[0]}") from late


def local(charts: str | None) -> list[dict[str, Any]] | None:
    """The definitions in a directory of charts; None if it has none, or is not a directory.

    Raises:
        MeshUnavailable: A file there is not YAML.
    """
    files = sorted(Path(charts, FOLDER).rglob("*.yaml")) if charts and "://" not in charts else []
    return [one for file in files for one in _definitions(file.read_text("utf-8"), str(file))] or None


async def _released(version: str) -> list[dict[str, Any]]:
    url = RELEASE.format(version=version)
    try:
        timeout = aiohttp.ClientTimeout(total=FETCHED_WITHIN)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as session, session.get(url) as answer:
            answer.raise_for_status()
            return _definitions(await answer.text(), url)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise MeshUnavailable(
            f"the definitions of the Gateway API cannot be fetched from {url} ({error!r}): install them, "
            f"or put them into the folder {FOLDER} of the directory that --mesh-charts names"
        ) from error


def _definitions(text: str, origin: str) -> list[dict[str, Any]]:
    try:
        read = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        raise MeshUnavailable(f"{origin} is not YAML: {str(error).splitlines()[0]}") from error
    return [one for one in read if isinstance(one, dict) and one.get("kind") == "CustomResourceDefinition"]


def _refuse_without_retry(definitions: Sequence[Object], where: str) -> None:
    """Refuse an HTTPRoute of the standard channel, which the API server would refuse policies about retries of."""
    for one in definitions:
        if one["metadata"]["name"] == ROUTES and not any(map(_has_retry, one["spec"]["versions"])):
            raise MeshUnavailable(
                f"the definition of HTTPRoute {where} is of the standard channel, in which it has no retry; put that "
                "of the experimental channel there: https://gateway-api.sigs.k8s.io/guides/#install-experimental-channel"
            )


def _has_retry(version: Object) -> bool:
    found: Any = version
    for key in ("schema", "openAPIV3Schema", "properties", "spec", "properties", "rules", "items", "properties"):
        found = found.get(key) or {}
    return "retry" in found


def _is_taken(route: Object) -> bool:
    """Whether each parent has accepted the newest generation; Inconclusive if one rejects it."""
    name, parents = route["metadata"]["name"], route.get("status", {}).get("parents", [])
    said = [condition for parent in parents for condition in _conditions(route, parent)]
    if refused := [one for one in said if one["type"] in TAKEN and one["status"] != "True"]:
        raise Inconclusive(f"the HTTPRoute {name} is rejected: {_stated(refused[0])}")
    wanted = len(route["spec"]["parentRefs"])
    return all(sum(one["type"] == kind for one in said) >= wanted for kind in TAKEN)


def _conditions(resource: Object, status: Object) -> list[Object]:
    """The conditions of the newest generation."""
    newest = resource["metadata"]["generation"]
    return [one for one in status.get("conditions", []) if one.get("observedGeneration", 0) >= newest]


def _stated(condition: Object) -> str:
    said = f"{condition.get('reason', '')}: {condition.get('message', '')}"
    return f"{condition['type']} is {condition['status']}, {said}"


def _established(definition: Object) -> bool:
    conditions = definition.get("status", {}).get("conditions") or []  # null in a new definition
    return any(condition["type"] == "Established" and condition["status"] == "True" for condition in conditions)
