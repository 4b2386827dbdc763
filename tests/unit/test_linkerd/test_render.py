"""Policies in Linkerd's resources, against golden files."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_meshcheck.meshes.linkerd.access import servers
from pytest_meshcheck.meshes.linkerd.routes import routes
from pytest_meshcheck.model.errors import Unsupported
from pytest_meshcheck.model.observation import Protocol
from pytest_meshcheck.model.policy import (
    Failure,
    FieldTimeout,
    Mode,
    MutualTls,
    Namespace,
    Policy,
    RequestsPerConnection,
    Retry,
    Timeout,
    WholeMesh,
)
from pytest_meshcheck.model.workload_spec import Port, WorkloadSpec
from tests.unit.rendering import ACCESS, CALLS, OTHER, SERVER, TELL, golden, golden_names

GOLDEN = Path(__file__).parent / "golden"

POLICIES: dict[str, tuple[Policy, ...]] = {
    **ACCESS,
    **CALLS,
    "overlap": (
        MutualTls(SERVER, Mode.PERMISSIVE),
        MutualTls(Namespace("blue"), Mode.STRICT),
        MutualTls(OTHER, None, {"http": Mode.PERMISSIVE}),
        MutualTls(WorkloadSpec("green", "server"), Mode.STRICT),
    ),
    "retry": (Retry(SERVER, 2, frozenset({503, 429}), frozenset({Failure.GRPC_INTERNAL, Failure.STATUS}), 0.25),),
    "refused-stream": (Retry(SERVER, 3, on=frozenset({Failure.REFUSED_STREAM})),),
    "field": (Retry(SERVER, 1, frozenset({503})), FieldTimeout(SERVER, 0.5)),
    "together": (Retry(SERVER, 20, frozenset({503})), Timeout(SERVER, 0.5), Timeout(OTHER, 2)),
}
UNSUPPORTED: dict[str, tuple[Policy, str]] = {
    "whole mesh": (MutualTls(WholeMesh(), Mode.STRICT), "default policy"),
    "reset": (Retry(SERVER, 1, on=frozenset({Failure.RESET})), "reset cannot be listed"),
    "connect": (Retry(SERVER, 1, frozenset({503}), frozenset({Failure.CONNECT})), "connect-failure cannot be listed"),
    "reuse": (RequestsPerConnection(SERVER, 1), "reuse"),
    "fraction": (Timeout(SERVER, 0.0005), "milliseconds"),
}


@pytest.mark.parametrize("name", POLICIES)
def test_rendered(name: str) -> None:
    rendered = [*servers(POLICIES[name]), *routes(POLICIES[name])]
    assert rendered == golden(GOLDEN, name), TELL.format(name)


def test_every_golden_file_is_compared() -> None:
    assert golden_names(GOLDEN) == set(POLICIES)


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported_with_a_source(name: str) -> None:
    policy, why = UNSUPPORTED[name]
    with pytest.raises(Unsupported, match=f"{why}.*https://linkerd.io/"):
        [*servers([policy]), *routes([policy])]


def test_no_two_servers_select_one_pod() -> None:
    doors = [(one["spec"]["port"], one["spec"]["podSelector"]) for one in servers(POLICIES["overlap"]) if _blue(one)]
    for number in {number for number, _ in doors}:
        for name in ("server", "other", "third"):
            selecting = [selector for port, selector in doors if port == number and _selects(selector, name)]
            assert len(selecting) == 1, (number, name)


def test_other_ports_have_their_own_numbers() -> None:
    odd = WorkloadSpec("blue", "odd", ports=(Port("h2", Protocol.H2C), Port("raw", Protocol.TCP)))
    assert [one["spec"]["port"] for one in servers([MutualTls(odd, Mode.STRICT)])] == [10080, 10081]
    (route,) = routes([Timeout(odd, 1)])
    assert (route["kind"], route["spec"]["parentRefs"][0]["port"]) == ("HTTPRoute", 10080)


def test_what_linkerd_takes_for_opaque_has_no_route() -> None:
    chat = WorkloadSpec("blue", "chat", ports=(Port("chat", Protocol.WEBSOCKET),))
    assert routes([Timeout(chat, 1)]) == []


def _blue(server: dict[str, dict[str, str]]) -> bool:
    return server["metadata"]["namespace"] == "blue"


def _selects(selector: dict[str, list[dict[str, Sequence[str]]]], name: str) -> bool:
    labels = selector.get("matchLabels", {})
    excluded = [value for expression in selector.get("matchExpressions", []) for value in expression["values"]]
    return all(value == name for value in dict(labels).values()) and name not in excluded
