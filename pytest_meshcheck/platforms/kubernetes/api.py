"""The API server: resources as plain data, applied by the server, watched rather than polled."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from kubernetes_asyncio import config
from kubernetes_asyncio.client import ApiClient, ApiException, Configuration

from pytest_meshcheck.model.errors import Inconclusive, MeshUnavailable
from pytest_meshcheck.platforms.base import Manifest
from pytest_meshcheck.platforms.kubernetes import way
from pytest_meshcheck.platforms.kubernetes.kubeconfig import BROKEN, called, contexts

FIELD_MANAGER = "meshcheck"
REACHABLE_WITHIN = 10.0
"""Seconds within which an API server answers, or there is none."""

BACK_WITHIN = 60.0
"""Seconds that an API server may be away in the middle of a run: as long as it takes to be started anew."""

PAUSE = 0.5
UNREACHABLE = (aiohttp.ClientError, TimeoutError, OSError)
GONE = 404
SERVER_ERRORS = 500
AGAIN_AFTER = (0.2, 1.0, 3.0)
"""Seconds. A webhook may be out of reach for a moment: its connection ended just as the server called it."""
BEHIND = re.compile(r'admission webhook .* namespaces ".*" not found')
"""Why a webhook refuses what is in a namespace that was just made, and that it has not heard of yet."""
REFUSED = 400
TOO_OLD = 410
UNAVAILABLE = 503

Object = dict[str, Any]


class Api:
    """One cluster's API server. To be used from the event loop that made it; made with ``Api.connect``.

    Attributes:
        configuration: How to get there.
        patience: Seconds that it may be away; when it has been away for longer, what is asked of it fails at once.
    """

    def __init__(self, configuration: Configuration, patience: float) -> None:
        self.configuration = configuration
        self.patience = patience
        self._away_since: float | None = None
        self._client = way.client_of(ApiClient, configuration)
        self._kinds: dict[str, asyncio.Task[dict[str, Object]]] = {}

    @classmethod
    async def connect(cls, kubeconfig: Path | None, context: str | None, patience: float = BACK_WITHIN) -> "Api":
        """The cluster of a context, by default the current one.

        Raises:
            MeshUnavailable: The kubeconfig cannot be used, or has no such context, or no current one.
        """
        configuration, known = Configuration(), contexts(kubeconfig)
        try:
            await config.load_kube_config(
                str(kubeconfig) if kubeconfig else None, known.named(context), configuration, persist_config=False
            )
        except BROKEN as error:
            raise MeshUnavailable(f"{called(kubeconfig)} cannot be used: {error}") from error
        return cls(configuration, patience)

    async def version(self) -> str:
        """The version of Kubernetes.

        Raises:
            MeshUnavailable: The API server does not answer in time, or refuses.
        """
        host = self.configuration.host
        try:
            async with asyncio.timeout(REACHABLE_WITHIN):
                return str((await self.request("GET", "/version"))["gitVersion"])
        except ApiException as error:
            raise MeshUnavailable(f"the API server {host} refuses: {_reason(error)}; check the credentials") from error
        except UNREACHABLE as error:
            why = f"no answer within {REACHABLE_WITHIN:.0f} s" if isinstance(error, TimeoutError) else str(error)
            if isinstance(error, aiohttp.ClientHttpProxyError):
                why = f"it answers {error.status} {error.message}"  # in full it quotes the credentials
            raise MeshUnavailable(f"the API server {host} cannot be reached{self._advice(why)}") from error

    async def apply(self, manifest: Manifest) -> Object:
        """Create a resource or change it into this, by server-side apply, which can be done again.

        Raises:
            Inconclusive: The server rejects it; says what and why.
        """
        path = await self._path(manifest)
        query = [("fieldManager", FIELD_MANAGER), ("force", "true")]
        pauses = iter(AGAIN_AFTER)
        while True:
            try:
                return await self._patiently(
                    "PATCH", path, query, manifest, content_type="application/apply-patch+yaml"
                )
            except ApiException as error:
                is_passing = error.status >= SERVER_ERRORS or BEHIND.search(_reason(error))
                pause = next(pauses, None) if is_passing else None
                if pause is None:
                    raise Inconclusive(f"the API server rejects {_described(manifest)}: {_reason(error)}") from error
            await asyncio.sleep(pause)

    async def delete(self, manifest: Manifest, grace: int | None = None) -> None:
        """Delete a resource, with what it owns; one that is gone already is no error."""
        query = [("propagationPolicy", "Background")]
        if grace is not None:
            query.append(("gracePeriodSeconds", str(grace)))
        try:
            await self._patiently("DELETE", await self._path(manifest), query)
        except ApiException as error:
            if error.status != GONE:
                raise Inconclusive(f"{_described(manifest)} cannot be deleted: {_reason(error)}") from error

    async def items(self, path: str, selector: str = "") -> tuple[list[Object], str]:
        """The resources under a path that have these labels, and the version of the list."""
        listed = await self._patiently("GET", path, [("labelSelector", selector)] if selector else [])
        return listed["items"], listed["metadata"]["resourceVersion"]

    async def until(
        self, path: str, selector: str, met: Callable[[Sequence[Object]], bool], within: float
    ) -> list[Object]:
        """Watch the resources under a path until they, taken together, are as wanted.

        Args:
            path: E.g. ``/api/v1/namespaces/blue/pods``.
            selector: Their labels.
            met: Told all of them, at first and at each change; what it raises ends the watch.
            within: Seconds.

        Raises:
            TimeoutError: They were not, within that time.
        """
        async with asyncio.timeout(within):
            while True:
                listed, version = await self.items(path, selector)
                current = {item["metadata"]["uid"]: item for item in listed}
                if met(list(current.values())):
                    return list(current.values())
                async with aclosing(self.events(path, selector, version)) as events:
                    async for event, item in events:
                        current.pop(item["metadata"]["uid"], None)
                        if event != "DELETED":
                            current[item["metadata"]["uid"]] = item
                        if met(list(current.values())):
                            return list(current.values())

    async def events(self, path: str, selector: str, version: str) -> AsyncGenerator[tuple[str, Object], None]:
        """What changes under a path, until the server ends the watch or no longer knows that version."""
        query = [("watch", "true"), ("resourceVersion", version), ("labelSelector", selector)]
        try:
            response = await self._call("GET", path, query)
        except ApiException as error:
            if error.status == TOO_OLD:
                return
            raise
        pending = b""
        try:
            async for chunk in response.content.iter_any():
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        return
                    yield event["type"], event["object"]
        finally:
            # Closed in an orderly way, the TLS connection would outlive the event loop.
            if response.connection is not None and response.connection.transport is not None:
                response.connection.transport.abort()
            response.close()

    async def request(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        body: Any = None,
        content_type: str = "application/json",
    ) -> Object:
        """One request; ApiException where the server does not grant it."""
        response = await self._call(method, path, query, body, content_type)
        async with response:
            answered: Object = await response.json()
            return answered

    async def read(self, path: str) -> Object | None:
        """One resource; None where there is none. ApiException where the server does not grant it."""
        try:
            return await self.request("GET", path)
        except ApiException as error:
            if error.status == GONE:
                return None
            raise

    async def _patiently(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        body: Any = None,
        content_type: str = "application/json",
    ) -> Object:
        """One request that does no harm if it is made twice; made again while the API server is away."""
        clock = asyncio.get_running_loop().time
        while True:
            try:
                async with asyncio.timeout(self.patience):
                    answered = await self.request(method, path, query, body, content_type)
            except (*UNREACHABLE, ApiException) as error:
                if isinstance(error, ApiException) and error.status != UNAVAILABLE:
                    raise
                self._away_since = self._away_since or clock()
                if clock() - self._away_since >= self.patience:
                    raise
                await asyncio.sleep(PAUSE)
            else:
                self._away_since = None
                return answered

    async def text(self, path: str, query: Sequence[tuple[str, str]] = ()) -> str:
        """One request for text, e.g. for a log."""
        async with await self._call("GET", path, query) as response:
            return str(await response.text(errors="replace"))

    async def close(self) -> None:
        """Close all connections."""
        for task in self._kinds.values():
            task.cancel()
        await self._client.close()
        await asyncio.sleep(0)  # what was aborted is closed in the next round of the event loop

    async def _call(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        body: Any = None,
        content_type: str = "application/json",
    ) -> Any:
        response = await self._client.call_api(
            path,
            method,
            query_params=list(query),
            header_params={"Accept": "application/json", "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
            _preload_content=False,
            _return_http_data_only=True,
        )
        if response.status >= REFUSED:  # without preloading the client takes every answer for a good one
            async with response:
                refused = ApiException(status=response.status, reason=response.reason)
                refused.body = await response.text(errors="replace")
                raise refused
        return response

    async def knows(self, version: str, kind: str) -> bool:
        """Whether the cluster has a kind, e.g. ``HTTPRoute`` of ``gateway.networking.k8s.io/v1``."""
        try:
            return kind in await self._discover(version)
        except ApiException as error:
            if error.status != GONE:
                raise
            return False

    async def has(self, manifest: Manifest) -> bool:
        """Whether there is a resource of that kind and name; Inconclusive where the cluster does not know the kind."""
        return await self.read(await self._path(manifest)) is not None

    async def is_namespaced(self, manifest: Manifest) -> bool:
        """Whether resources of that kind are in namespaces; Inconclusive where the cluster does not know the kind."""
        return bool((await self._resource(manifest))["namespaced"])

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
        except (ApiException, KeyError) as unknown:
            self._kinds.pop(version, None)  # its definition may come later
            raise Inconclusive(f"the cluster knows no {kind} of {version}: is its definition installed?") from unknown

    def _advice(self, why: str) -> str:
        if proxy := way.proxy_of(self.configuration):
            name = urlsplit(str(self.configuration.host)).hostname
            return (
                f" through the proxy {way.described(proxy)}: {why}; is it the right one? NO_PROXY={name} goes past it"
            )
        return f": {why}; is the cluster running?"

    async def _discover(self, version: str) -> dict[str, Object]:
        listed = await self._patiently("GET", group(version))
        return {resource["kind"]: resource for resource in listed["resources"] if "/" not in resource["name"]}


def group(version: str) -> str:
    """The path of an API version, e.g. ``apps/v1``."""
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def selector(labels: Mapping[str, str]) -> str:
    """Labels as the API wants to be asked for them."""
    return ",".join(f"{name}={value}" for name, value in labels.items())


def _described(manifest: Manifest) -> str:
    metadata = manifest["metadata"]
    return f"{manifest['kind']} {metadata.get('namespace', '')}/{metadata['name']}".replace(" /", " ")


def _reason(error: ApiException) -> str:
    try:
        message = json.loads(error.body or "{}")["message"]
    except (TypeError, ValueError, KeyError):
        message = error.reason
    return f"{error.status} {message}"
