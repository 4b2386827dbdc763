"""Access of ``mesh_cluster`` to the API server: kr8s, and server-side apply, which kr8s does not have."""

import asyncio
import importlib.util
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from kubernetes_asyncio.client import Configuration

from pytest_meshcheck.model.errors import ClusterError, Inconclusive
from pytest_meshcheck.platforms.base import Manifest
from pytest_meshcheck.platforms.kubernetes.api.proxy import proxy_of
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.api.server import UNREACHABLE, Object, Refused
from pytest_meshcheck.platforms.kubernetes.evidence.logs import trouble, write_events, write_logs

if TYPE_CHECKING:
    import kr8s
    from kr8s.objects import APIObject

R = TypeVar("R")

READY_WITHIN = 120.0
"""Seconds that a test waits for a condition by default."""

NEEDED = "kr8s"
NO_CLIENT = "mesh_cluster needs kr8s, which is not installed: pip install 'pytest-meshcheck[cluster]'"


def has_client() -> bool:
    """Whether kr8s is installed; an extra brings it."""
    return importlib.util.find_spec(NEEDED) is not None


@dataclass(frozen=True)
class Applied:
    """A resource that was applied.

    Attributes:
        resource: Its present state.
        is_new: Whether it was created.
    """

    resource: Object
    is_new: bool


@dataclass(frozen=True)
class Access:
    """A cluster, by kubeconfig and context; every method blocks, and may be called from any thread.

    Attributes:
        kubeconfig: Absolute path; several paths are joined as in ``KUBECONFIG``.
        context: The context in that file.
    """

    kubeconfig: Path
    context: str

    @cached_property
    def client(self) -> "kr8s.Api":
        """kr8s's client."""
        import kr8s  # noqa: PLC0415 - comes with an extra

        return kr8s.api(kubeconfig=str(self.kubeconfig), context=self.context)

    def apply(self, manifests: Sequence[Manifest], namespace: str = "") -> list[Applied]:
        """Create or update resources, one after the other.

        Raises:
            ClusterError: The API server rejects one or does not know its kind, or one lacks a namespace.
        """

        async def work(api: Api) -> list[Applied]:
            return [await _applied(api, await _placed(api, manifest, namespace)) for manifest in manifests]

        return self._run(work)

    def delete(self, manifests: Sequence[Manifest]) -> None:
        """Delete resources; missing ones are no error."""

        async def work(api: Api) -> None:
            for manifest in manifests:
                await api.delete(manifest)

        self._run(work)

    def object(self, manifest: Mapping[str, Any]) -> "APIObject":
        """A resource as an object of kr8s."""
        from kr8s import objects  # noqa: PLC0415 - comes with an extra

        kind, version = str(manifest["kind"]), str(manifest["apiVersion"])
        try:
            known = objects.get_class(kind, version)
        except KeyError:  # kr8s would guess the plural
            group = f".{version}" if "/" in version else f"/{version}"
            _, plural, namespaced = self.client.lookup_kind(f"{kind}{group}")
            known = objects.new_class(kind, version, namespaced=namespaced, plural=plural)
        return known(dict(manifest), api=self.client)

    def named(self, name: str, namespace: str) -> "APIObject":
        """A resource by ``kind/name``, as kubectl takes it.

        Raises:
            ClusterError: It does not exist, or the name has another form.
        """
        import kr8s  # noqa: PLC0415 - comes with an extra

        kind, slash, plain = name.partition("/")
        if not (kind and slash and plain):
            raise ClusterError(f"{name!r}: write KIND/NAME, such as deployment/shop")
        try:
            found = list(self.client.get(kind, plain, namespace=namespace or None))
        except (kr8s.NotFoundError, ValueError):
            found = []
        except kr8s.ServerError as error:
            raise ClusterError(f"the API server refuses {name}: {error}") from error
        if not found:
            raise ClusterError(f"there is no {name} in {namespace or 'the cluster'}")
        return found[0]  # type: ignore[return-value]

    def trouble(self, namespace: str) -> str:
        """Why the pods of a namespace are not ready, in one line."""

        async def work(api: Api) -> str:
            return await trouble(api, namespace)

        return self._run(work)

    def write_state(self, directory: Path, namespaces: Sequence[str]) -> None:
        """Write logs of all containers, and events, into a directory.

        Raises:
            ClusterError: The API server does not respond.
            OSError: A file cannot be written.
        """

        async def work(api: Api) -> None:
            for namespace in namespaces:
                pods, _ = await api.items(f"/api/v1/namespaces/{namespace}/pods")
                await write_logs(api, directory, pods)
                await write_events(api, directory, namespace)

        self._run(work)

    def past_proxy(self) -> dict[str, str]:
        """Environment variables with which kr8s bypasses a proxy wherever kubectl would.

        Its HTTP client sends requests for loopback addresses to a proxy unless ``NO_PROXY`` names them.
        """

        async def work(api: Api) -> Configuration:
            return api.configuration

        configuration = self._run(work)
        if proxy_of(configuration) is not None:
            return {}
        excepted = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
        host = urlsplit(str(configuration.host)).hostname or ""
        return dict.fromkeys(("NO_PROXY", "no_proxy"), ",".join(filter(None, [excepted, host])))

    def _run(self, work: Callable[[Api], Coroutine[Any, Any, R]]) -> R:
        """Do something in another event loop, because the caller may be in one."""

        async def connected() -> R:
            api = await Api.connect(self.kubeconfig, self.context)
            try:
                return await work(api)
            finally:
                await api.close()

        with ThreadPoolExecutor(1) as pool:
            try:
                return pool.submit(asyncio.run, connected()).result()
            except (*UNREACHABLE, Refused, Inconclusive) as error:
                raise ClusterError(str(error)) from error


async def _applied(api: Api, manifest: Manifest) -> Applied:
    was_there = await api.has(manifest)
    return Applied(await api.apply(manifest), is_new=not was_there)


async def _placed(api: Api, manifest: Manifest, namespace: str) -> Manifest:
    """A manifest with the given namespace, if it needs one and names none."""
    metadata = manifest["metadata"]
    if metadata.get("namespace") or not await api.is_namespaced(manifest):
        return manifest
    if not namespace:
        raise ClusterError(f"{manifest['kind']} {metadata['name']} is in no namespace: name one with namespace=")
    return {**manifest, "metadata": {**metadata, "namespace": namespace}}
