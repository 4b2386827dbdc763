"""What a sidecar is sent, by what it asked for and how it answered; real Envoy is in test_envoy_mesh."""

from pathlib import Path
from typing import Any

import pytest
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse

from pytest_meshcheck.meshes.envoy.process.discovery import DiscoveryStream, Subscriber
from pytest_meshcheck.meshes.envoy.process.rejection import TRUNCATED, reason
from pytest_meshcheck.meshes.envoy.xds.protobuf import NotEnvoy, message
from pytest_meshcheck.meshes.envoy.xds.resources import TYPES, Resources

LUA = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"


def resources(**kinds: list[dict[str, Any]]) -> Resources:
    return {kind: kinds.get(kind, []) for kind in TYPES}


def cluster(name: str, timeout: str = "5s") -> dict[str, Any]:
    return {"name": name, "type": "EDS", "connect_timeout": timeout}


def endpoints(name: str) -> dict[str, Any]:
    return {"cluster_name": name}


class Sidecar:
    """Plays the part of Envoy on one stream."""

    def __init__(self, *, published: Resources) -> None:
        self.subscriber = Subscriber()
        self.subscriber.publish(published)
        self.stream = DiscoveryStream(self.subscriber.configuration, lambda: None)
        self.subscriber.streams["blue/client"] = self.stream

    def say(self, kind: str, **fields: Any) -> None:
        self.stream.take(DeltaDiscoveryRequest(type_url=TYPES[kind], **fields))

    def subscribe(self, kind: str, *names: str) -> None:
        self.say(kind, resource_names_subscribe=names)

    def received(self) -> list[DeltaDiscoveryResponse]:
        outbox = self.stream._outbox
        return [outbox.get_nowait() for _ in range(outbox.qsize())]

    def acknowledge(self) -> list[tuple[str, list[str], list[str]]]:
        """Take all that was sent; returns kind, names and removed names of each response."""
        taken = []
        for response in self.received():
            kind = next(kind for kind, url in TYPES.items() if url == response.type_url)
            taken.append((kind, [one.name for one in response.resources], list(response.removed_resources)))
            self.say(kind, response_nonce=response.nonce)
        return taken


def test_what_nothing_refers_to_is_not_sent() -> None:
    sidecar = Sidecar(published=resources(clusters=[cluster("a")], endpoints=[endpoints("a"), endpoints("b")]))
    sidecar.subscribe("clusters")
    sidecar.subscribe("endpoints", "a")
    assert sidecar.acknowledge() == [("clusters", ["a"], []), ("endpoints", ["a"], [])]


def test_only_changes_are_sent_and_a_known_version_is_none() -> None:
    sidecar = Sidecar(published=resources(clusters=[cluster("a"), cluster("b")]))
    sidecar.subscribe("clusters")
    sidecar.acknowledge()
    sidecar.subscriber.publish(resources(clusters=[cluster("a"), cluster("b")]))
    assert sidecar.acknowledge() == []
    sidecar.subscriber.publish(resources(clusters=[cluster("a"), cluster("b", "1s")]))
    assert sidecar.acknowledge() == [("clusters", ["b"], [])]


def test_a_changed_cluster_is_followed_by_its_endpoints() -> None:
    sidecar = Sidecar(published=resources(clusters=[cluster("a")], endpoints=[endpoints("a")]))
    sidecar.subscribe("clusters")
    sidecar.subscribe("endpoints", "a")
    sidecar.acknowledge()
    sidecar.subscriber.publish(resources(clusters=[cluster("a", "1s")], endpoints=[endpoints("a")]))
    assert sidecar.acknowledge() == [("clusters", ["a"], []), ("endpoints", ["a"], [])]


def test_what_is_gone_is_removed_once_and_sent_again_when_it_comes_back() -> None:
    both = resources(clusters=[cluster("a"), cluster("b")], endpoints=[endpoints("b")])
    sidecar = Sidecar(published=both)
    sidecar.subscribe("clusters")
    sidecar.subscribe("endpoints", "b")
    sidecar.acknowledge()
    for _ in range(2):
        sidecar.subscriber.publish(resources(clusters=[cluster("a")]))
    assert sidecar.acknowledge() == [("clusters", [], ["b"]), ("endpoints", [], ["b"])]
    sidecar.subscriber.publish(both)
    assert sidecar.acknowledge() == [("clusters", ["b"], []), ("endpoints", ["b"], [])]


def test_a_process_that_comes_back_is_told_only_what_it_missed() -> None:
    sidecar = Sidecar(published=resources(clusters=[cluster("a"), cluster("b")]))
    version = sidecar.subscriber.configuration.of("clusters")["a"].version
    sidecar.say("clusters", initial_resource_versions={"a": version, "gone": "7"})
    assert sidecar.acknowledge() == [("clusters", ["b"], ["gone"])]


def test_a_stream_is_complete_once_everything_is_asked_for_and_answered() -> None:
    sidecar = Sidecar(published=resources(clusters=[cluster("a")]))
    assert not sidecar.stream.complete
    sidecar.subscribe("clusters")
    assert not sidecar.stream.complete
    sidecar.acknowledge()
    assert not sidecar.stream.complete
    sidecar.subscribe("listeners")
    assert sidecar.stream.complete


def test_a_rejection_bears_envoys_reason_until_the_resource_is_sent_again() -> None:
    sidecar = Sidecar(published=resources(clusters=[cluster("a"), cluster("b")]))
    sidecar.subscribe("clusters")
    (response,) = sidecar.received()
    sidecar.say("clusters", response_nonce=response.nonce, error_detail={"code": 13, "message": "a: no good"})
    assert {str(sent): why for sent, why in sidecar.stream.rejected.items()} == {"clusters a, b": "a: no good"}
    sidecar.subscriber.publish(resources(clusters=[cluster("a", "1s"), cluster("b")]))
    assert sidecar.stream.rejected == {}


def test_a_truncated_reason_is_read_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    entry = "[2026-11-27 10:59:35.708][25534][warning][config] [source/a.cc:1] "
    quoted = "\n".join(["name: 'a'", *["filter { }"] * 500, ": reason: is required"])
    log.write_text(f"{entry}delta config for {TYPES['clusters']} rejected: {quoted}\n{entry}something else\n", "utf-8")
    why = reason(f"name: 'a' (...{TRUNCATED}", TYPES["clusters"], log)
    assert why.startswith("name: 'a' filter { }")
    assert why.endswith("filter { } : reason: is required")
    assert len(why) < 700


def test_what_is_no_resource_is_named_and_its_last_version_stays() -> None:
    sidecar = Sidecar(published=resources(clusters=[cluster("a")]))
    version = sidecar.subscriber.configuration.of("clusters")["a"].version
    sidecar.subscriber.publish(resources(clusters=[cluster("a", "soon")]))
    ((where, why),) = sidecar.subscriber.configuration.malformed.items()
    assert where == ("clusters", "a")
    assert "connectTimeout" in why or "connect_timeout" in why
    assert sidecar.subscriber.configuration.of("clusters")["a"].version == version


def test_an_extension_that_nothing_else_uses_is_known() -> None:
    listener = {"name": "a", "filter_chains": [{"filters": [{"name": "x", "typed_config": {"@type": LUA}}]}]}
    assert LUA.encode() in message("listeners", listener).value


def test_an_unknown_extension_is_named() -> None:
    listener = {"name": "a", "filter_chains": [{"filters": [{"name": "x", "typed_config": {"@type": f"{LUA}x"}}]}]}
    with pytest.raises(NotEnvoy, match="Luax"):
        message("listeners", listener)
