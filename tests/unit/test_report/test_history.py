"""What a result keeps of a check's journal for pictures."""

import hashlib
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from pytest_meshcheck.checks.history import Mark, MarkKind
from pytest_meshcheck.meshes.canary import UpgradeBy
from pytest_meshcheck.model.journal import BEGINS, ENDS, Entry, Journal
from pytest_meshcheck.model.observation import Attempt, Exchange, LoadOutcome, LoadSlice, Protocol, Spread
from pytest_meshcheck.probe.protocol.messages import AttemptEnding, Ending, Tls
from pytest_meshcheck.report.history import history
from pytest_meshcheck.testbed.upgrade_outcome import Upgraded

BOTH = "blue/client -> blue/server"
NONE = Spread.of([])


def exchange(request_id: str, **seen: Any) -> Exchange:
    defaults = {"protocol": Protocol.HTTP1, "ending": Ending.ANSWERED, "started": 5.0, "ended": 5.312, "wall": 100.0}
    return Exchange(request_id=request_id, **{**defaults, **seen})


def attempt(number: int, request_id: str = "a", **seen: Any) -> Attempt:
    """An attempt by the clock of another machine, which began 900 s before that of the client."""
    defaults = {"arrived": 905.1, "wall": 100.1, "ending": AttemptEnding.OPEN, "instance": "server-0"}
    return Attempt(number=number, request_id=request_id, port="http", protocol=Protocol.HTTP1, **{**defaults, **seen})


def load(*slices: LoadSlice) -> LoadOutcome:
    return LoadOutcome(9, (), (), (), NONE, NONE, NONE, began=100.0, slices=slices)


def handshake(leaf: bytes, server: str, wall: float) -> Entry:
    tls = Tls(version="TLSv1.3", cipher="c", group="g", alpn="", chain=(leaf,))
    return Entry("exchange", f"grey/outsider -> {server}", exchange("t", tls=tls), wall)


def test_a_violation_keeps_the_request_that_it_names() -> None:
    entries = [Entry("exchange", BOTH, exchange("a", status=503)), Entry("exchange", BOTH, exchange("b", status=200))]
    kept = history(entries, "a")
    assert kept
    assert kept.request
    assert (kept.request.client, kept.request.server) == ("blue/client", "blue/server")
    assert (kept.request.status, kept.request.seconds) == (503, 0.312)


def test_a_violation_that_names_no_request_keeps_the_newest() -> None:
    entries = [Entry("exchange", BOTH, exchange("a", status=503)), Entry("exchange", BOTH, exchange("b", status=200))]
    kept = history(entries, "")
    assert kept
    assert kept.request
    assert kept.request.status == 200


def test_a_violation_that_names_no_request_is_about_the_load() -> None:
    entries = [Entry("load", BOTH, load(LoadSlice(sent=1))), Entry("exchange", BOTH, exchange("a"))]
    kept = history(entries, "")
    assert kept
    assert kept.loads
    assert kept.request is None


def test_a_grpc_call_keeps_its_own_status() -> None:
    entries = [Entry("exchange", BOTH, exchange("a", protocol=Protocol.GRPC, status=200, grpc_status=14))]
    kept = history(entries, "a")
    assert kept
    assert kept.request
    assert kept.request.status == 14


def test_attempts_are_dated_from_the_beginning_of_the_client() -> None:
    first = attempt(1, ending=AttemptEnding.CUT, answered=905.15, ended=905.2)
    early = (attempt(1), attempt(1, "other"))
    entries = [
        Entry("exchange", BOTH, exchange("a"), 100.4),
        Entry("attempts", "blue/server", early, 100.5),
        Entry("attempts", "blue/server", (first, attempt(2, wall=100.3, arrived=905.3)), 100.6),
    ]
    kept = history(entries, "a")
    assert kept
    assert kept.request
    assert kept.request.attempts
    one, two = kept.request.attempts
    assert (one.arrived, one.answered, one.ended, one.ending) == (0.1, 0.15, 0.2, AttemptEnding.CUT)
    assert (two.number, two.arrived, two.ended) == (2, 0.3, None)


@pytest.mark.parametrize(("asked", "attempts"), [(100.5, ()), (99.0, None)])
def test_that_nothing_arrived_is_not_that_nobody_asked(asked: float, attempts: tuple[()] | None) -> None:
    entries = [Entry("attempts", "blue/server", (), asked), Entry("exchange", BOTH, exchange("a"), 100.4)]
    kept = history(entries, "a")
    assert kept
    assert kept.request
    assert kept.request.attempts == attempts


def test_a_check_that_conforms_keeps_no_request() -> None:
    kept = history([Entry("exchange", BOTH, exchange("a"))])
    assert kept
    assert kept.request is None


def test_a_check_without_traffic_keeps_nothing() -> None:
    assert history([Entry("measured", "answers", 3)]) is msgspec.UNSET


def test_what_happens_at_the_same_time_is_waited_for_once() -> None:
    entries = [
        Entry("in effect", "Retry", 1.0, 101.0),
        Entry("rotating", "issuer", BEGINS, 102.0),
        Entry("exchange", BOTH, exchange("a", ended=7.0), 103.0),  # 101 to 103
        Entry("in effect", "Timeout", 0.5, 104.0),
        Entry("rotating", "issuer", ENDS, 105.0),
        Entry("load", BOTH, load(LoadSlice(sent=1), LoadSlice(sent=1)), 106.0),  # 104 to 106
    ]
    kept = history(entries)
    assert kept
    assert kept.spent == {"rotations, restarts and outages": 3.0, "policies to take effect": 1.0, "traffic": 2.0}


def test_policies_keep_the_seconds_until_they_were_in_effect() -> None:
    entries = [
        Entry("in effect", "Retry", 0.25),
        Entry("in effect", "MutualTls", 1.5),
        Entry("in effect", "Retry", 2.0),
    ]
    kept = history(entries)
    assert kept
    assert kept.policies == {"Retry": (0.25, 2.0), "MutualTls": (1.5,)}


def test_an_upgrade_has_its_loads_by_part_and_port() -> None:
    first, then = {"http": load(LoadSlice(sent=5))}, {"grpc": load(LoadSlice(sent=4))}
    seen = Upgraded("1", "2", UpgradeBy.IN_PLACE, 3.0, first, then, None, exchange("a"), 0.0, None)
    kept = history([Entry("upgrade", "1 -> 2", seen)])
    assert kept
    assert [line.name for line in kept.loads] == ["1 -> 2, control plane, http", "1 -> 2, data planes, grpc"]


def test_a_load_has_what_was_rotated_during_it_and_which_servers_changed_certificates() -> None:
    slices = (LoadSlice(sent=5), LoadSlice(sent=4, lost=1))
    entries = [
        handshake(b"one", "blue/server", 99.0),
        handshake(b"another", "blue/other", 99.5),
        Entry("rotation", "issuer", None, 100.5),
        handshake(b"one", "blue/server", 100.6),
        handshake(b"two", "blue/server", 101.2),
        Entry("load", BOTH, load(*slices), 102.0),
        Entry("rotation", "leaf", None, 109.0),
    ]
    kept = history(entries)
    assert kept
    (line,) = kept.loads
    assert (line.name, line.slices) == (BOTH, slices)
    assert line.marks == (
        Mark(0.5, MarkKind.ROTATION, "issuer"),
        Mark(1.2, MarkKind.CERTIFICATE, hashlib.sha256(b"two").hexdigest()),
    )


@pytest.mark.parametrize(
    ("entry", "marked"),
    [("upgrade step", MarkKind.UPGRADE), ("disruption", MarkKind.DISRUPTION), ("restart", MarkKind.RESTART)],
)
def test_a_load_has_both_ends_of_what_was_done_during_it(entry: str, marked: MarkKind) -> None:
    journal = Journal()
    with journal.action(entry, "control plane"):
        journal.add("measured", "requests", 1)
    begun = replace(load(LoadSlice(sent=5)), began=journal.entries[0].wall)
    kept = history([*journal.entries, Entry("load", BOTH, begun)])
    assert kept
    (line,) = kept.loads
    assert [(mark.kind, mark.what) for mark in line.marks] == [
        (marked, "control plane begins"),
        (marked, "control plane ends"),
    ]
