"""A fake API server that stores applied objects."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.serving import serving

Object = dict[str, Any]

KINDS: Mapping[str, tuple[tuple[str, str, bool], ...]] = {
    # path of a group: its resources, their kinds, and whether they are in namespaces
    "/api/v1": (("namespaces", "Namespace", False), ("secrets", "Secret", True), ("pods", "Pod", True)),
    "/apis/apiextensions.k8s.io/v1": (("customresourcedefinitions", "CustomResourceDefinition", False),),
    "/apis/gateway.networking.k8s.io/v1": (("gateways", "Gateway", True),),
}
LABEL = re.compile(r"([^=,]+)=([^,]*)")
"""A label of a selector; sets of values are not looked at."""

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: near
clusters: [{{name: near, cluster: {{server: "{server}"}}}}]
contexts: [{{name: near, context: {{cluster: near, user: me}}}}]
users: [{{name: me, user: {{token: abc}}}}]
"""


class ObjectStore:
    """The objects of a cluster by path; deleting a namespace deletes its contents.

    Attributes:
        objects: What there is.
        held: The path of an object whose application is not answered; empty for none.
        loses: Whether it does not keep that object either.
        has_held: Set once such an application has arrived.
        ends: Set once nobody is held or watches any longer.
    """

    def __init__(self, objects: Mapping[str, Object] | None = None, **lists: list[Object]) -> None:
        self.objects: dict[str, Object] = dict(objects or {})
        self.held = ""
        self.loses = False
        self.has_held = asyncio.Event()
        self.ends = asyncio.Event()
        for resource, several in lists.items():
            self.objects |= {f"/api/v1/{resource}/{one['metadata']['name']}": one for one in several}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        match request.method:
            case "GET" if "watch" in request.query:
                return await self._watch(request)
            case "GET":
                return self._read(request)
            case "PATCH":
                return await self._apply(request)
            case _:
                return self._delete(request.path)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        """A watch without events: clients rely on the initial list."""
        response = web.StreamResponse()
        await response.prepare(request)
        await self.ends.wait()
        return response

    def _read(self, request: web.Request) -> web.Response:
        if request.path in KINDS:
            named = [{"name": name, "kind": kind, "namespaced": scoped} for name, kind, scoped in KINDS[request.path]]
            return web.json_response({"resources": named})
        if _is_of_one(request.path):
            found = self.objects.get(request.path)
            return web.json_response(found or {"message": "not found"}, status=200 if found else 404)
        wanted = dict(LABEL.findall(request.query.get("labelSelector", "")))
        listed = [
            one
            for path, one in self.objects.items()
            if _is_in(path, request.path) and wanted.items() <= one["metadata"].get("labels", {}).items()
        ]
        return web.json_response({"items": listed, "metadata": {"resourceVersion": "1"}})

    async def _apply(self, request: web.Request) -> web.Response:
        applied: Object = json.loads(await request.read())
        applied["metadata"] |= {"uid": request.path, "generation": 1}
        texts: Mapping[str, str] = applied.pop("stringData", {})
        if texts:
            applied["data"] = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
        is_held = request.path == self.held
        if not (is_held and self.loses):
            self.objects[request.path] = applied
        if is_held:
            self.has_held.set()
            await self.ends.wait()
        return web.json_response(applied)

    def _delete(self, path: str) -> web.Response:
        status = 200 if self.objects.pop(path, None) else 404
        self.objects = {other: one for other, one in self.objects.items() if not other.startswith(f"{path}/")}
        return web.json_response({"message": "deleted"}, status=status)


@asynccontextmanager
async def cluster_of(store: ObjectStore, folder: Path) -> AsyncIterator[Path]:
    """A kubeconfig for the store, which serves while the block runs."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", store.answer)
    async with serving(app) as url:
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(KUBECONFIG.format(server=url))
        try:
            yield kubeconfig
        finally:
            store.ends.set()


def _is_of_one(path: str) -> bool:
    """Whether a path is that of an object, or of a group that the cluster does not have, and not that of a list."""
    *_, within = path.split("/v1/")
    return len(within.split("/")) % 2 == 0


def _is_in(path: str, listed: str) -> bool:
    """Whether the object of a path is in a list, perhaps that of all namespaces."""
    group, _, resource = listed.rpartition("/v1/")
    anywhere = re.fullmatch(f"{group}/v1/namespaces/[^/]+/{resource}/[^/]+", path)
    return path.rpartition("/")[0] == listed or anywhere is not None
