"""The filters that chains refer to by name, so that a change of the mode of mutual TLS is a small one."""

from typing import Any

import pytest

from pytest_meshcheck.meshes.envoy.sidecar_config import Inbound
from pytest_meshcheck.meshes.envoy.xds.listeners import inbound_listener
from pytest_meshcheck.meshes.envoy.xds.referenced import ReferencedFilters
from pytest_meshcheck.meshes.envoy.xds.resources import TYPES, Resource, Resources
from pytest_meshcheck.model.policy import Mode
from pytest_meshcheck.model.workload_spec import Port
from pytest_meshcheck.probe.protocol.messages import Protocol

HTTP = Port("http", Protocol.HTTP1)


def listener(mode: Mode) -> Resource:
    return inbound_listener(Inbound(HTTP, ("127.0.0.1", 1), ("127.0.0.1", 2), mode), "inbound.http", "cluster.local")


def taken_out(referenced: ReferencedFilters, *listeners: Any) -> Resources:
    return referenced.taken_out({**{kind: [] for kind in TYPES}, "listeners": list(listeners)})


def chains(resources: Resources) -> list[Any]:
    (one,) = resources["listeners"]
    return list(one["filter_chains"])


def test_all_chains_of_a_listener_refer_to_one_filter() -> None:
    source = listener(Mode.PERMISSIVE)
    resources = taken_out(ReferencedFilters(), source)
    (network_filter,) = resources["filters"]
    assert network_filter["typed_config"] is source["filter_chains"][0]["filters"][-1]["typed_config"]
    for chain in chains(resources):
        assert chain["filters"][-1]["name"] == network_filter["name"] == "inbound.http"
        assert "typed_config" not in chain["filters"][-1]


def test_another_mode_changes_neither_the_filter_nor_the_chain_for_mutual_tls() -> None:
    referenced = ReferencedFilters()
    permissive, strict = (taken_out(referenced, listener(mode)) for mode in (Mode.PERMISSIVE, Mode.STRICT))
    assert permissive["filters"][0] is strict["filters"][0]
    assert chains(permissive)[0] == chains(strict)[0]
    assert len(chains(strict)) == 1


def test_an_unchanged_listener_stays_the_same_object() -> None:
    referenced, copies = ReferencedFilters(), [{**listener(Mode.STRICT)} for _ in range(2)]
    first, second = (taken_out(referenced, one)["listeners"][0] for one in copies)
    assert first is second


def test_a_chain_with_a_filter_of_its_own_keeps_it() -> None:
    secure, plain = listener(Mode.PERMISSIVE)["filter_chains"]
    other = {"name": "other", "typed_config": {"@type": "type.googleapis.com/other"}}
    changed = {**listener(Mode.PERMISSIVE), "filter_chains": [secure, {**plain, "filters": [other]}]}
    resources = taken_out(ReferencedFilters(), changed)
    assert chains(resources)[1]["filters"] == [other]
    assert "config_discovery" in chains(resources)[0]["filters"][-1]


@pytest.mark.parametrize(
    "malformed",
    [
        {"name": "one"},
        {"name": "one", "filter_chains": "none"},
        {"name": "one", "filter_chains": [{"filters": [{"name": "only"}]}]},
        {"name": "one", "filter_chains": [{"filter_chain_match": {"x": 1}, "filters": [{"typed_config": None}]}]},
    ],
    ids=["no chains", "no list", "no choice", "no type"],
)
def test_anything_else_is_left_alone(malformed: Resource) -> None:
    resources = taken_out(ReferencedFilters(), malformed)
    assert resources["listeners"] == [malformed]
    assert resources["filters"] == []
