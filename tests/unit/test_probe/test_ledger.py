"""The ledger by itself, and waiting for it through a probe."""

import asyncio
from typing import Any

import pytest

from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.probe.server import ledger as ledgers

pytestmark = pytest.mark.asyncio(loop_scope="module")


def head(request_id: str = "") -> ledgers.Head:
    return ledgers.Head(protocol=m.Protocol.HTTP1, port="http", request_id=request_id)


async def test_the_oldest_attempts_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledgers, "LIMIT", 3)
    ledger = ledgers.Ledger("i")
    for name in "abcde":
        ledger.arrive(head(name))
    assert [attempt.request_id for attempt in ledger.read("")] == ["c", "d", "e"]
    assert ledger.read("a") == ()


async def test_it_is_known_whose_attempts_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledgers, "LIMIT", 2)
    ledger = ledgers.Ledger("i")
    for name in ("load-0", "other-0", "load-1"):
        ledger.arrive(head(name))
    assert (ledger.has_forgotten("load-"), ledger.has_forgotten("other-")) == (True, False)


async def test_attempts_are_found_by_id_prefix_and_order() -> None:
    ledger = ledgers.Ledger("i")
    for name in ("load-1", "load-2", "other", ""):
        ledger.arrive(head(name))
    assert [a.request_id for a in ledger.read("load-", prefix=True)] == ["load-1", "load-2"]
    assert [a.request_id for a in ledger.read("", since=2)] == ["other", ""]
    assert ledger.read("load-") == ()


async def test_the_first_ending_stands() -> None:
    ledger = ledgers.Ledger("i")
    entry, _ = ledger.arrive(head("a"))
    entry.end(m.AttemptEnding.ANSWERED)
    entry.end(m.AttemptEnding.CANCELLED, "late")
    assert (entry.attempt().ending, entry.attempt().detail) == (m.AttemptEnding.ANSWERED, "")


async def test_waiting_ends_with_the_attempt_that_was_waited_for() -> None:
    ledger = ledgers.Ledger("i")
    waiting = asyncio.create_task(ledger.wait("a", 2, ended=True, patience=60))
    first, _ = ledger.arrive(head("a"))
    second, number = ledger.arrive(head("a"))
    first.end(m.AttemptEnding.ANSWERED)
    await asyncio.sleep(0)
    assert not waiting.done()
    second.end(m.AttemptEnding.CUT)
    assert [attempt.number for attempt in await waiting] == [1, number]


async def test_waiting_gives_what_there_is_when_patience_ends(pair: Any) -> None:
    await pair.send("only-one")
    reply = await pair.server.call(m.AwaitAttempt("only-one", count=2, patience=0.1))
    assert len(reply.attempts) == 1


async def test_an_attempt_under_way_is_open(pair: Any) -> None:
    await pair.script("under-way", m.Answer(behaviour=m.Behaviour.STALL))
    sending = asyncio.create_task(pair.send("under-way", patience=60))
    reply = await pair.server.call(m.AwaitAttempt("under-way", patience=30))
    assert [(a.ending, a.ended, a.answered) for a in reply.attempts] == [(m.AttemptEnding.OPEN, None, None)]
    sending.cancel()
