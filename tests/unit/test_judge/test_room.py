"""Which workloads a stage asks for room for, before it starts any."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from pytest_meshcheck.meshes.istio.mesh import IstioMesh
from pytest_meshcheck.meshes.none import NoMesh
from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.workload_spec import WorkloadSpec
from pytest_meshcheck.platforms.base import Limited, Metadata
from pytest_meshcheck.testbed.workloads import Stage


@dataclass
class Narrow:
    """A platform with room for so many workloads; it starts none."""

    places: int
    asked: list[str] = field(default_factory=list)

    def namespace(self, plain: str) -> str:
        return f"{plain}-run"

    async def refuse_beyond(self, planned: Sequence[tuple[WorkloadSpec, Metadata]], processes: int) -> None:
        self.asked = [str(spec) for spec, _ in planned]
        if len(planned) * processes > self.places:
            raise Inconclusive("too small")


def stage(adapter: Any, platform: Any) -> Stage:
    return Stage(adapter, platform)


@pytest.mark.asyncio
async def test_each_process_of_a_run_needs_a_stage_of_its_own() -> None:
    platform = Narrow(places=5)
    assert isinstance(platform, Limited)
    ready = stage(NoMesh(), platform)
    await ready.ask_for_room(["client", "server"], processes=2)
    assert platform.asked == ["blue-run/client", "blue-run/server"]
    with pytest.raises(Inconclusive, match="too small"):
        await ready.ask_for_room(["client", "server"], processes=3)


@pytest.mark.asyncio
async def test_who_plays_another_part_as_well_takes_one_place() -> None:
    platform = Narrow(places=1)
    mesh = IstioMesh(MeshRequest(None, 1.0, None, installed=True))  # type: ignore[arg-type]
    await stage(mesh, platform).ask_for_room(["short_lived", "second_client"], processes=1)
    assert platform.asked == ["blue-run/second-client"]


@pytest.mark.asyncio
async def test_a_platform_without_limits_is_not_asked() -> None:
    await stage(NoMesh(), object()).ask_for_room(["client"], processes=100)
