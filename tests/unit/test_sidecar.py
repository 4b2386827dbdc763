"""How long a sidecar is waited for, where the control plane itself stands still meanwhile."""

import asyncio
import time
from pathlib import Path

import pytest

from pytest_meshcheck.meshes.envoy.process.sidecar import Sidecar
from pytest_meshcheck.model.errors import Inconclusive

pytestmark = pytest.mark.asyncio

PATIENCE = 0.5


class Waiting(Sidecar):
    """A sidecar that has its configuration once the test says so."""

    has_settled = False

    def _has_settled(self) -> bool:
        return self.has_settled

    def settle(self) -> None:
        self.has_settled = True
        self._subscriber.progress.set()


@pytest.fixture
def sidecar(tmp_path: Path) -> Waiting:
    return Waiting("blue/client", tmp_path / "sidecar", tmp_path / "admin.sock")


async def test_a_pause_of_the_control_plane_is_no_fault_of_a_sidecar(sidecar: Waiting) -> None:
    loop = asyncio.get_running_loop()
    loop.call_later(0.05, time.sleep, 2 * PATIENCE)
    loop.call_later(0.1 + 2 * PATIENCE, sidecar.settle)
    await sidecar.settled(PATIENCE)


async def test_a_sidecar_that_never_follows_is_named(sidecar: Waiting) -> None:
    with pytest.raises(Inconclusive, match=r"blue/client did not accept its configuration stream within 0\.5 s"):
        await sidecar.settled(PATIENCE)
