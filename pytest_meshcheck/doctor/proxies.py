"""The proxies of an Istio as istiod sees them: what was sent to each, what it acknowledged, what it rejected.

istiod tells it on its own loopback (``/debug/syncz``), which a port-forward of the API server reaches.
"""

import asyncio

import msgspec

from pytest_meshcheck.doctor.snapshot import Unread, name_of, namespace_of
from pytest_meshcheck.platforms.kubernetes.api.forward import NoAnswer, fetch
from pytest_meshcheck.platforms.kubernetes.api.resources import Api
from pytest_meshcheck.platforms.kubernetes.api.server import UNREACHABLE, Object, Refused
from pytest_meshcheck.platforms.kubernetes.api.stream import Executor

PORT, TARGET = 15014, "/debug/syncz"
MOST = 50
"""Pods of istiod that are asked."""


class Resources(msgspec.Struct, frozen=True, rename="camel"):
    """One type of resources of a proxy.

    Attributes:
        sent: The nonce of the newest response.
        acked: The nonce that the proxy acknowledged.
        sent_time: When it was sent: ISO 8601.
        last_error: Why the proxy rejected it; empty if it did not.
    """

    sent: str = ""
    acked: str = ""
    sent_time: str = ""
    last_error: str = ""


class Proxy(msgspec.Struct, frozen=True):
    """One proxy, ``pod.namespace``."""

    proxy: str = ""
    resources: dict[str, Resources] = {}


async def read_proxies(api: Api, deadline: float) -> tuple[list[Object], list[Unread]]:
    """The proxies that the pods of istiod serve, and the pods that do not tell.

    Args:
        api: The cluster.
        deadline: When to stop, by the clock of the event loop.
    """
    executor = Executor(api.configuration)
    found: list[Object] = []
    unread: list[Unread] = []
    try:
        for pod in await _istiods(api, deadline):
            try:
                found += await _served(executor, pod, deadline)
            except (NoAnswer, TimeoutError, msgspec.DecodeError) as error:
                name = f"proxies of {namespace_of(pod)}/{name_of(pod)}"
                unread.append(Unread(name, str(error) or "no answer in time"))
    except (*UNREACHABLE, Refused) as error:
        unread.append(Unread("pods of istiod", str(error) or "no answer in time"))
    finally:
        await executor.close()
    return found, unread


async def _istiods(api: Api, deadline: float) -> list[Object]:
    async with asyncio.timeout_at(deadline):
        listed = await api.request("GET", "/api/v1/pods", [("labelSelector", "app=istiod"), ("limit", str(MOST))])
    return [one for one in listed["items"] if one.get("status", {}).get("phase") == "Running"]


async def _served(executor: Executor, pod: Object, deadline: float) -> list[Object]:
    async with asyncio.timeout_at(deadline):
        text = await fetch(executor, namespace_of(pod), name_of(pod), PORT, TARGET)
    return [_as_object(one) for one in msgspec.json.decode(text or "[]", type=list[Proxy])]


def _as_object(proxy: Proxy) -> Object:
    name, _, namespace = proxy.proxy.rpartition(".")
    resources = {kind.rpartition(".")[2]: msgspec.to_builtins(one) for kind, one in proxy.resources.items()}
    return {"metadata": {"name": name, "namespace": namespace}, "resources": resources}
