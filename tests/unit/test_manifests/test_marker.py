"""The policy that shows how far data planes have followed: which callers are waited for."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_meshcheck.model.errors import Unsupported
from pytest_meshcheck.model.policy import Policy
from pytest_meshcheck.model.workload_spec import WorkloadSpec
from pytest_meshcheck.testbed.convergence.conditions import Condition
from pytest_meshcheck.testbed.trial import marker as module
from pytest_meshcheck.testbed.trial.marker import Marker
from pytest_meshcheck.testbed.trial.stand_ins import STRANGER, Caller, StandIns

pytestmark = pytest.mark.asyncio


def workload(namespace: str, name: str, replica: int = 1) -> Any:
    spec = WorkloadSpec(namespace, name, replica=replica)

    class Probe(SimpleNamespace):
        def __str__(self) -> str:
            return str(self.spec)

    return Probe(spec=spec)


WEB, SECOND, CART = workload("shop", "web"), workload("shop", "web", 2), workload("shop", "cart")
OUTSIDE, STRANGE = workload("shop", "batch"), workload("strangers", STRANGER.name)


class Trial:
    """Two stand-ins in the mesh, of which one has two replicas, and one outside."""

    scale = 1.0

    def __init__(self, *, renders: bool = True) -> None:
        self.renders = renders
        self.replicas = {"shop/web": [WEB, SECOND], "shop/cart": [CART], "shop/batch": [OUTSIDE]}
        self.outsiders = [Caller(STRANGER.name, STRANGE, enrolled=True)]
        self.adapter = self.platform = self
        self.documented = SimpleNamespace(policies_act_within=10.0)
        self.applied: list[object] = []

    @property
    def running(self) -> list[tuple[str, Any]]:
        return [(name, one) for name, several in self.replicas.items() for one in several]

    def callers(self) -> list[Caller]:
        firsts = [(name, several[0]) for name, several in self.replicas.items()]
        return [Caller(name, one, enrolled=name != "shop/batch") for name, one in firsts]

    def render(self, policies: Sequence[Policy]) -> Sequence[Policy]:
        if not self.renders:
            raise Unsupported("there are no limits here")
        return policies

    async def apply(self, manifests: Sequence[object]) -> None:
        self.applied += manifests


@pytest.fixture
def polled(monkeypatch: pytest.MonkeyPatch) -> list[list[Condition]]:
    """The conditions that were polled; none is met for the cart."""
    noted: list[list[Condition]] = []

    async def unmet(conditions: Sequence[Condition], _within: float, _scale: float) -> list[Condition]:
        noted.append(list(conditions))
        return [one for one in conditions if str(one.caller) == "shop/cart"]

    monkeypatch.setattr(module, "unmet", unmet)
    return noted


async def test_every_replica_in_the_mesh_has_to_show_the_newest_limit(polled: list[list[Condition]]) -> None:
    trial = Trial()
    marker = Marker(cast("StandIns", trial))
    assert await marker.unfollowed() == ["shop/cart"]
    assert [str(one.caller) for one in polled[0]] == ["shop/web", str(SECOND), "shop/cart"]
    assert {str(one.server) for one in polled[0]} == {"strangers/stranger"}
    await marker.unfollowed()
    first, second = (one[0].expected for one in polled)
    assert first != second
    assert len(set(map(str, trial.applied))) == 2


async def test_who_did_not_show_the_first_limit_is_not_waited_for_again(polled: list[list[Condition]]) -> None:
    marker = Marker(cast("StandIns", Trial()))
    await marker.unfollowed()
    assert await marker.unfollowed() == ["shop/cart"]
    assert "shop/cart" not in map(str, (one.caller for one in polled[1]))


async def test_nobody_shows_a_limit_that_the_mesh_cannot_have(polled: list[list[Condition]]) -> None:
    trial = Trial(renders=False)
    assert await Marker(cast("StandIns", trial)).unfollowed() == ["shop/web", str(SECOND), "shop/cart"]
    assert (trial.applied, polled) == ([], [])
