"""Resources of a cluster as plain data: applied by the server, watched rather than polled."""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kubernetes_asyncio import config
from kubernetes_asyncio.client import Configuration

from pytest_meshcheck.model.errors import Inconclusive, MeshUnavailable
from pytest_meshcheck.platforms.base import Manifest
from pytest_meshcheck.platforms.kubernetes.api.kubeconfig import BROKEN, called, contexts, located
from pytest_meshcheck.platforms.kubernetes.api.proxy import described, proxy_of
from pytest_meshcheck.platforms.kubernetes.api.server import (
    NOT_FOUND,
    PASSING,
    PAUSE,
    SERVER_ERRORS,
    UNREACHABLE,
    Object,
    Query,
    Refused,
    Server,
)

LOGGER = logging.getLogger(__name__)
FIELD_MANAGER = "meshcheck"
REACHABLE_WITHIN = 10.0
"""Seconds within which an API server answers, or there is none."""

BACK_WITHIN = 60.0
"""Seconds that an API server may be away during a run: it takes that long to restart."""

AGAIN_AFTER = (0.2, 1.0, 3.0)
"""Seconds. A webhook may be out of reach for a moment: its connection ended just as the server called it."""

RENEWED_EVERY = 60.0
"""Seconds after which a token of an exec plugin is looked at again: on EKS it lasts for a quarter of an hour."""

BEHIND = re.compile(r'admission webhook .* namespaces ".*" not found')
"""Why a webhook refuses a resource in a new namespace that it has not heard of yet."""


class Api(Server):
    """The API server of one cluster; made with ``Api.connect``."""

    def __init__(self, configuration: Configuration, patience: float) -> None:
        super().__init__(configuration, patience)
        self._kinds: dict[str, asyncio.Task[dict[str, Object]]] = {}
        self._renewing: asyncio.Task[None] | None = None

    @classmethod
    async def connect(cls, kubeconfig: Path | None, context: str | None, patience: float = BACK_WITHIN) -> "Api":
        """The cluster of a context, by default the current one.

        Raises:
            MeshUnavailable: The kubeconfig cannot be used, or has no such context, or no current one.
        """
        configuration, known = Configuration(), contexts(kubeconfig)
        try:
            loader: Any = await config.load_kube_config(
                str(located(kubeconfig)), known.named(context), configuration, persist_config=False
            )
        except BROKEN as error:
            raise MeshUnavailable(f"{called(kubeconfig)} cannot be used: {error}") from error
        api = cls(configuration, patience)
        is_renewable = loader.provider == "gcp" or "exec" in (loader._user or ())
        if is_renewable and hasattr(loader, "token"):  # which a plugin that issues certificates does not set
            api._renewing = asyncio.create_task(_renew(loader, configuration))
        return api

    async def version(self) -> str:
        """The version of Kubernetes.

        Raises:
            MeshUnavailable: The API server does not answer in time, or refuses.
        """
        host = self.configuration.host
        try:
            async with asyncio.timeout(REACHABLE_WITHIN):
                return str((await self.request("GET", "/version"))["gitVersion"])
        except Refused as error:
            raise MeshUnavailable(f"the API server {host} refuses: {error}; check the credentials") from error
        except UNREACHABLE as error:
            why = f"no answer within {REACHABLE_WITHIN:.0f} s" if isinstance(error, TimeoutError) else str(error)
            raise MeshUnavailable(f"the API server {host} cannot be reached{self._advice(why)}") from error

    async def apply(self, manifest: Manifest) -> Object:
        """Create a resource or change it to this, by server-side apply, which can be repeated.

        Raises:
            Inconclusive: The server rejects it; the message names the resource and the reason.
        """
        path = await self._path(manifest)
        query = [("fieldManager", FIELD_MANAGER), ("force", "true")]
        try:
            return await self._patch(path, query, manifest, "application/apply-patch+yaml")
        except Refused as error:
            raise Inconclusive(f"the API server rejects {_described(manifest)}: {error}") from error

    async def change(self, path: str, change: Manifest) -> Object:
        """Change some fields of the resource at a path, whoever owns them; null deletes a field.

        Raises:
            Inconclusive: The server rejects it, or has no such resource; with its reason.
        """
        try:
            return await self._patch(path, [], change, "application/merge-patch+json")
        except Refused as error:
            raise Inconclusive(f"the API server rejects a change of {path}: {error}") from error

    async def create(self, manifest: Manifest) -> Object:
        """Create a resource that does not exist yet; raises Refused."""
        return await self.request("POST", (await self._path(manifest)).rpartition("/")[0], [], manifest)

    async def created_dry(self, path: str, manifest: Manifest) -> Object:
        """A new resource under a path as the server and its webhooks would create it; raises Refused."""
        return await self.patiently("POST", path, [("dryRun", "All")], manifest)

    async def try_to_create(self, manifest: Manifest) -> None:
        """Have the server and its webhooks try a new resource, and refuse fields that it does not know; raises Refused.

        Nothing is created.
        """
        path, query = (
            (await self._path(manifest)).rpartition("/")[0],
            [("dryRun", "All"), ("fieldValidation", "Strict")],
        )
        await self.patiently("POST", path, query, manifest)

    async def delete(self, manifest: Manifest, grace: int | None = None) -> None:
        """Delete a resource with its dependents; one that is gone already is no error."""
        query = [("propagationPolicy", "Background")]
        if grace is not None:
            query.append(("gracePeriodSeconds", str(grace)))
        try:
            await self.patiently("DELETE", await self._path(manifest), query)
        except Refused as error:
            if error.status != NOT_FOUND:
                raise Inconclusive(f"{_described(manifest)} cannot be deleted: {error}") from error

    async def items(self, path: str, selector: str = "") -> tuple[list[Object], str]:
        """The resources under a path that have these labels, and the version of the list; raises Refused."""
        listed = await self.patiently("GET", path, [("labelSelector", selector)] if selector else [])
        return listed["items"], listed["metadata"]["resourceVersion"]

    async def until(
        self, path: str, selector: str, met: Callable[[Sequence[Object]], bool], within: float
    ) -> list[Object]:
        """Watch the resources under a path until they, taken together, are as wanted.

        Args:
            path: E.g. ``/api/v1/namespaces/blue/pods``.
            selector: Their labels.
            met: Called with all of them, at first and at each change; what it raises ends the watch.
            within: Seconds.

        Raises:
            TimeoutError: They were not, within that time.
            Refused: They may not be listed or watched.
        """
        async with asyncio.timeout(within):
            while True:
                listed, version = await self.items(path, selector)
                current = {item["metadata"]["uid"]: item for item in listed}
                if met(list(current.values())):
                    return list(current.values())
                try:
                    async with aclosing(self.events(path, selector, version)) as events:
                        async for event, item in events:
                            current.pop(item["metadata"]["uid"], None)
                            if event != "DELETED":
                                current[item["metadata"]["uid"]] = item
                            if met(list(current.values())):
                                return list(current.values())
                except (*UNREACHABLE, Refused) as error:
                    if isinstance(error, Refused) and error.status not in PASSING:
                        raise
                    await asyncio.sleep(PAUSE)  # the list waits for a server that is away

    async def knows(self, version: str, kind: str) -> bool:
        """Whether the cluster has a kind, e.g. ``HTTPRoute`` of ``gateway.networking.k8s.io/v1``; raises Refused."""
        try:
            return kind in await self._discover(version)
        except Refused as error:
            if error.status != NOT_FOUND:
                raise
            return False

    async def has(self, manifest: Manifest) -> bool:
        """Whether there is a resource of that kind and name; Inconclusive if the cluster does not know the kind."""
        return await self.read(await self._path(manifest)) is not None

    async def is_namespaced(self, manifest: Manifest) -> bool:
        """Whether resources of that kind are in namespaces; Inconclusive if the cluster does not know the kind."""
        return bool((await self._resource(manifest))["namespaced"])

    async def close(self) -> None:
        """Close all connections."""
        for task in (*self._kinds.values(), *([self._renewing] if self._renewing else [])):
            task.cancel()
        await super().close()

    async def _patch(self, path: str, query: Query, body: Manifest, content_type: str) -> Object:
        """Make a change that does no harm twice, and repeat it while server or webhook fail; raises Refused."""
        pauses = iter(AGAIN_AFTER)
        while True:
            try:
                return await self.patiently("PATCH", path, query, body, content_type)
            except Refused as error:
                is_passing = error.status >= SERVER_ERRORS or BEHIND.search(error.message)
                pause = next(pauses, None) if is_passing else None
                if pause is None:
                    raise
            await asyncio.sleep(pause)

    async def _path(self, manifest: Manifest) -> str:
        resource, metadata = await self._resource(manifest), manifest["metadata"]
        scope = f"/namespaces/{metadata['namespace']}" if resource["namespaced"] else ""
        return f"{group(manifest['apiVersion'])}{scope}/{resource['name']}/{metadata['name']}"

    async def _resource(self, manifest: Manifest) -> Object:
        version, kind = manifest["apiVersion"], manifest["kind"]
        if version not in self._kinds:
            self._kinds[version] = asyncio.create_task(self._discover(version))
        try:
            return (await asyncio.shield(self._kinds[version]))[kind]
        except (Refused, KeyError) as unknown:
            self._kinds.pop(version, None)  # its definition may come later
            raise Inconclusive(f"the cluster knows no {kind} of {version}: is its definition installed?") from unknown
        except UNREACHABLE:
            self._kinds.pop(version, None)
            raise

    async def _discover(self, version: str) -> dict[str, Object]:
        listed = await self.patiently("GET", group(version))
        return {resource["kind"]: resource for resource in listed["resources"] if "/" not in resource["name"]}

    def _advice(self, why: str) -> str:
        if proxy := proxy_of(self.configuration):
            name = urlsplit(str(self.configuration.host)).hostname
            return f" through the proxy {described(proxy)}: {why}; is it the right one? NO_PROXY={name} goes past it"
        return f": {why}; is the cluster running?"


async def _renew(loader: Any, configuration: Configuration) -> None:
    """Renew a token before it expires; a failed renewal is logged and tried again."""
    while True:
        try:
            await config.refresh_token(loader, configuration, RENEWED_EVERY)
        except Exception as error:  # noqa: BLE001 - a plugin can fail in any way, which ends the loop of the library
            LOGGER.warning("the token for %s could not be renewed: %s; trying again", configuration.host, error)


def group(version: str) -> str:
    """The path of an API version, e.g. ``apps/v1``."""
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def selector(labels: Mapping[str, str]) -> str:
    """Labels as the API wants to be asked for them."""
    return ",".join(f"{name}={value}" for name, value in labels.items())


def _described(manifest: Manifest) -> str:
    metadata = manifest["metadata"]
    return f"{manifest['kind']} {metadata.get('namespace', '')}/{metadata['name']}".replace(" /", " ")
