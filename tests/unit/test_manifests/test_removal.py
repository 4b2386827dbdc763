"""Taking parts out of a cluster, and putting them back in the order that they had."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest
import pytest_asyncio

from pytest_meshcheck.manifests.objects import KubernetesObject
from pytest_meshcheck.testbed.trial import removal
from pytest_meshcheck.testbed.trial.removal import by_age, put_back, take_out
from pytest_meshcheck.testbed.trial.stand_ins import StandIns

from .configured import configured, resource

pytestmark = pytest.mark.asyncio

SPEC = "{hosts: [orders], http: [{timeout: 1s}, {timeout: 2s}]}"
_, PARTS = configured(*(resource("VirtualService", name, SPEC) for name in ("a", "b", "c")))
A, B, C = (PARTS[f"VirtualService shop/{name}"] for name in ("a", "b", "c"))


class Cluster:
    """A cluster in which a second goes by with every second object that is made."""

    def __init__(self) -> None:
        self.created: dict[str, str] = {}
        self.specs: dict[str, Any] = {}
        self.made = 0

    @property
    def platform(self) -> "Cluster":
        return self

    async def api(self) -> "Api":
        return Api(self)

    def in_cluster(self, one: KubernetesObject) -> Mapping[str, Any]:
        return one.manifest

    async def apply(self, manifests: Sequence[Mapping[str, Any]]) -> None:
        for one in manifests:
            name = one["metadata"]["name"]
            self.made += name not in self.created
            self.created.setdefault(name, f"2026-01-01T00:00:{self.made // 2:02}Z")
            self.specs[name] = one["spec"]

    async def delete(self, manifests: Sequence[Mapping[str, Any]]) -> None:
        for one in manifests:
            del self.created[one["metadata"]["name"]]


class Api:
    """Its API server."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    async def apply(self, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        await self.cluster.apply([manifest])
        return {"metadata": {"creationTimestamp": self.cluster.created[manifest["metadata"]["name"]]}}


@pytest_asyncio.fixture
async def trial(monkeypatch: pytest.MonkeyPatch) -> StandIns:
    monkeypatch.setattr(removal, "PAUSE", 0.0)
    cluster = Cluster()
    await cluster.apply([one.resource.manifest for one in (A, B, C)])
    return cast("StandIns", cluster)


def of(trial: StandIns) -> Cluster:
    return cast("Cluster", trial)


async def test_the_oldest_comes_first_and_names_decide_within_a_second(trial: StandIns) -> None:
    of(trial).created |= {"a": "2026-01-01T00:00:02Z", "b": "2026-01-01T00:00:01Z", "c": "2026-01-01T00:00:01Z"}
    assert await by_age(trial, [C.resource, A.resource, B.resource]) == [B.resource, C.resource, A.resource]


@pytest.mark.parametrize("part", [A, B, C], ids=str)
async def test_what_was_put_back_has_the_age_that_it_had_among_its_rivals(trial: StandIns, part: Any) -> None:
    ages = [A.resource, B.resource, C.resource]
    await take_out(trial, part)
    assert part.resource.name not in of(trial).created
    await put_back(trial, part, ages)
    assert await by_age(trial, ages) == ages
    created = of(trial).created
    younger = [one.name for one in ages[ages.index(part.resource) + 1 :]]
    assert all(created[part.resource.name] < created[name] for name in younger)


async def test_a_rule_goes_and_comes_without_its_resource_being_made_again(trial: StandIns) -> None:
    before = dict(of(trial).created)
    rule = PARTS["VirtualService shop/a rule 2"]
    await take_out(trial, rule)
    assert of(trial).specs["a"]["http"] == [{"timeout": "1s"}]
    await put_back(trial, rule, [A.resource, B.resource])
    assert of(trial).specs["a"] == A.resource.spec
    assert of(trial).created == before
