"""Evidence: the resources of a mesh and the configuration of its data planes, without secrets."""

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml

from pytest_meshcheck.model.secrets import REDACTED, redact, redact_text
from pytest_meshcheck.platforms.kubernetes.access.permissions import Permission
from pytest_meshcheck.platforms.kubernetes.api.forward import NoAnswer, fetch
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.api.server import UNREACHABLE, Object, Refused
from pytest_meshcheck.platforms.kubernetes.api.stream import Executor

MOST = 200
"""Resources of one kind in one namespace that are kept."""

SIDE_BY_SIDE = 4
"""Data planes that are queried at a time: each answers with megabytes."""

CERTIFICATE = re.compile(r"-+BEGIN [A-Z ]*CERTIFICATE-+.*?(?:-+END [A-Z ]*CERTIFICATE-+|\Z)", re.DOTALL)
OF_CERTIFICATES = {"inline_bytes", "inlinebytes", "pem"}
"""Fields, in lower case, in which data planes show certificates and keys in base64."""

CHATTER = ("managedFields", "resourceVersion", "uid", "generation", "selfLink")
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True)
class Dump:
    """A query to a data plane about its own state.

    Attributes:
        file: Suffix of the name of the evidence file; JSON is written with indentation.
        port: The port on the loopback of the pod.
        target: Path and query.
    """

    file: str
    port: int
    target: str


def reading(groups: Collection[str]) -> tuple[Permission, ...]:
    """The permissions to read the resources of these API groups, and to query data planes."""
    listed = [Permission(group, "*", ("list",)) for group in groups]
    return (*listed, Permission("", "configmaps", ("get",)), Permission("", "pods/portforward", ("create", "get")))


async def write_dumps(
    executor: Executor, directory: Path, pods: Sequence[Object], dumps: Mapping[str, Sequence[Dump]]
) -> None:
    """Write the answers of data planes, which are found by the name of their container; or why there is no answer."""
    places = asyncio.Semaphore(SIDE_BY_SIDE)

    async def write(pod: Object, dump: Dump) -> None:
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        async with places:
            try:
                text = await fetch(executor, namespace, name, dump.port, dump.target)
            except NoAnswer as reason:
                text = f"no answer on port {dump.port}: {reason}\n"
            if text is not None:
                (directory / f"{namespace}.{name}.{dump.file}").write_text(without_secrets(text), "utf-8")

    wanted = [(pod, dump) for pod in pods for name in _containers(pod) for dump in dumps.get(name, ())]
    await asyncio.gather(*(write(pod, dump) for pod, dump in wanted))


async def write_policies(
    api: Api, directory: Path, groups: Collection[str], namespaces: Sequence[str], settings: Sequence[str] = ()
) -> None:
    """Write the resources of these API groups in these namespaces or in none, and ConfigMaps by their paths.

    The file has the name of the first namespace; a comment in it lists what could not be read.
    """
    texts = [text async for text in _read(api, groups, namespaces, settings)]
    (directory / f"{namespaces[0]}.policies.yaml").write_text("---\n".join(texts) or "# none\n", "utf-8")


def without_secrets(text: str) -> str:
    """The answer of a data plane without keys, certificates and tokens."""
    try:
        read = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return redact_text(CERTIFICATE.sub(REDACTED, text))
    return msgspec.json.format(msgspec.json.encode(redact(_without_certificates(read))), indent=1).decode() + "\n"


async def _read(
    api: Api, groups: Collection[str], namespaces: Sequence[str], settings: Sequence[str]
) -> AsyncIterator[str]:
    for path in settings:
        try:
            if (found := await api.read(path)) is not None:
                yield _shown({"apiVersion": "v1", "kind": "ConfigMap", **found})
        except (*UNREACHABLE, Refused) as error:
            yield f"# {path} cannot be read: {error}\n"
    for group in groups:
        try:
            kinds = await _kinds(api, group)
        except (*UNREACHABLE, Refused) as error:
            yield f"# resources of {group} cannot be read: {error}\n"
            continue
        for version, kind in kinds:
            for where in [f"namespaces/{one}/" for one in namespaces] if kind["namespaced"] else [""]:
                async for text in _listed(api, version, kind, where):
                    yield text


async def _kinds(api: Api, group: str) -> list[tuple[str, Object]]:
    """The kinds of an API group that can be listed, with their version; none if there is no such group."""
    if (served := await api.read(f"/apis/{group}")) is None:
        return []
    version = served["preferredVersion"]["groupVersion"]
    names = dict.fromkeys([version, *(one["groupVersion"] for one in served["versions"])])
    found: dict[str, tuple[str, Object]] = {}
    for name in names:
        for kind in (await api.request("GET", f"/apis/{name}"))["resources"]:
            if "/" not in kind["name"] and "list" in kind["verbs"]:
                found.setdefault(kind["name"], (name, kind))
    return list(found.values())


async def _listed(api: Api, version: str, kind: Object, where: str) -> AsyncIterator[str]:
    try:
        listed = await api.request("GET", f"/apis/{version}/{where}{kind['name']}", [("limit", str(MOST))])
    except (*UNREACHABLE, Refused) as error:
        yield f"# {kind['name']} {where.removesuffix('/')} cannot be read: {error}\n"
        return
    for item in listed["items"]:
        yield _shown({"apiVersion": version, "kind": kind["kind"], **item})
    if listed["metadata"].get("continue"):
        yield f"# and more than these {MOST} {kind['name']}\n"


def _shown(item: Object) -> str:
    metadata = {key: value for key, value in item["metadata"].items() if key not in CHATTER}
    annotations = {key: value for key, value in metadata.get("annotations", {}).items() if key != LAST_APPLIED}
    shown = {**item, "metadata": {**metadata, **({"annotations": annotations} if annotations else {})}}
    if not annotations:
        shown["metadata"].pop("annotations", None)
    return str(yaml.safe_dump(redact(_without_certificates(shown)), sort_keys=False, allow_unicode=True))


def _without_certificates(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: REDACTED
            if str(key).lower() in OF_CERTIFICATES and isinstance(one, str)
            else _without_certificates(one)
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [_without_certificates(one) for one in value]
    return CERTIFICATE.sub(REDACTED, value) if isinstance(value, str) else value


def _containers(pod: Object) -> list[str]:
    spec = pod["spec"]
    return [one["name"] for one in [*spec.get("initContainers", ()), *spec["containers"]]]
