"""The embedded mesh with a control plane that changes policies late, and does not know when data planes follow."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.meshes.envoy.xds.resources import Resources
from pytest_meshcheck.meshes.registry import MeshRequest, Registry
from pytest_meshcheck.platforms.base import Manifest, Platform

Change = Callable[[Sequence[Manifest]], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Delays:
    """Seconds.

    Attributes:
        within: How late policies may act, as it documents.
        reconnects: How late data planes may follow a control plane that is back, as it documents.
        apply: How late they are applied.
        delete: How late they are deleted.
        cuts: Whether clients answer 504 for each service with policies, as under a limit that is over at once.
    """

    within: float = 20.0
    apply: float = 0.3
    delete: float = 0.3
    cuts: bool = False
    reconnects: float = 1.0


class LateMesh(EnvoyMesh):
    """It changes nothing before its delay is over, though it says that it has settled.

    Attributes:
        delays: Its delays.
        changes: Every change, done or to come.
    """

    def __init__(self, version: str | None, delays: Delays) -> None:
        super().__init__(version, publish_hook=lambda _, resources: self._cut(resources))
        self.delays = delays
        self.changes: set[asyncio.Future[None]] = set()

    @property
    def marks(self) -> list[Manifest]:
        """What clients show of policies, one for each service that has some now."""
        return [one for one in self._of_platform().resources.values() if one["kind"] == "Mark"]

    async def install(self, platform: Platform) -> None:
        await super().install(platform)
        outage = replace(self.documented.outage, reconnects_within=self.delays.reconnects)
        self.documented = replace(self.documented, policies_act_within=self.delays.within, outage=outage)
        platform.apply = self._later(platform.apply, self.delays.apply)  # type: ignore[method-assign]
        platform.delete = self._later(platform.delete, self.delays.delete)  # type: ignore[method-assign]

    def _later(self, change: Change, seconds: float) -> Change:
        async def act(manifests: Sequence[Manifest]) -> None:
            await asyncio.sleep(seconds)
            await change(manifests)

        async def answer(manifests: Sequence[Manifest]) -> None:
            self.changes.add(asyncio.ensure_future(act(manifests)))

        return answer

    def _cut(self, resources: Resources) -> Resources:
        marked = [route for route in resources["routes"] if "response_headers_to_add" in route]
        for route in marked if self.delays.cuts else ():
            (host,) = route["virtual_hosts"]
            host["routes"] = [{"match": {"prefix": "/"}, "direct_response": {"status": 504}}]
        return resources


def registering(delays: Delays) -> Callable[[Registry], None]:
    """A ``pytest_meshcheck_register_mesh`` that registers it as ``late``."""

    def create(order: MeshRequest) -> LateMesh:
        mesh = LateMesh(order.version, delays)
        mesh.prepare()
        return mesh

    def register(registry: Registry) -> None:
        registry.register("late", create)

    return register


def conftest(delays: Delays, root: Any) -> str:
    """A conftest.py that registers it, for a run that finds this module in ``root``."""
    return f"""
import sys
sys.path.append({str(root)!r})
from tests.late_mesh import Delays, registering

_register = registering({delays!r})

def pytest_meshcheck_register_mesh(registry):
    _register(registry)
"""
