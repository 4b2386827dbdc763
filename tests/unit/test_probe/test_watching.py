"""Looking again and again, until what is seen is convincing."""

from typing import Any

import pytest

from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.probe.protocol.requests import SILENT

pytestmark = pytest.mark.asyncio(loop_scope="module")

POLICIES = m.POLICIES_HEADER


async def test_what_is_as_expected_is_looked_at_several_times_in_a_row(pair: Any) -> None:
    (result,) = await pair.watch(poll(pair, "steady", m.Property.SERVED, expected=True))
    assert result == m.PollResult(value=True, convincing=True, at_once=True)
    assert [len(await pair.ledger(f"steady-{number}")) for number in range(4)] == [1, 1, 1, 0]


async def test_one_answer_that_is_not_as_expected_begins_the_row_anew(pair: Any) -> None:
    await pair.script("wavering-1", m.Answer(status=503))
    (result,) = await pair.watch(poll(pair, "wavering", m.Property.SERVED, expected=True))
    assert result == m.PollResult(value=True, convincing=True, at_once=False)
    assert [len(await pair.ledger(f"wavering-{number}")) for number in range(6)] == [1, 1, 1, 1, 1, 0]


async def test_what_never_comes_is_given_up(pair: Any) -> None:
    (result,) = await pair.watch(poll(pair, "never", m.Property.SERVED, expected=False), within=0.0)
    assert result == m.PollResult(value=True, convincing=False, at_once=False)


@pytest.mark.parametrize("changes", [1, 3])
async def test_what_is_not_known_before_has_to_be_the_same_several_times(pair: Any, changes: int) -> None:
    for number in range(changes):
        await pair.script(f"same-{changes}-{number}", m.Answer(status=200 if number % 2 else 503))
    (result,) = await pair.watch(poll(pair, f"same-{changes}", m.Property.SERVED))
    assert result == m.PollResult(value=True, convincing=True, at_once=False)


async def test_of_several_looks_each_ends_by_itself(pair: Any) -> None:
    await pair.script("slow-0", m.Answer(status=503))
    polls = [poll(pair, name, m.Property.SERVED, expected=True) for name in ("quick", "slow")]
    assert await pair.watch(*polls) == tuple(
        m.PollResult(value=True, convincing=True, at_once=at_once) for at_once in (True, False)
    )
    assert len(await pair.ledger("slow-3")) == 1
    assert len(await pair.ledger("quick-3")) == 0


@pytest.mark.parametrize("port", ["http", "grpc"])
async def test_policies_are_seen_in_what_the_server_was_sent(pair: Any, port: str) -> None:
    fields = {"protocol": m.Protocol.GRPC, "path": "/meshcheck.Probe/Unary"} if port == "grpc" else {}
    asked = poll(
        pair, f"sent-{port}", m.Property.POLICIES, port, expected="mark", headers=((POLICIES, "mark"),), **fields
    )
    assert await pair.watch(asked) == (m.PollResult(value="mark", convincing=True, at_once=True),)


async def test_policies_are_seen_in_the_answer_first(pair: Any) -> None:
    for number in range(3):
        await pair.script(f"answered-{number}", m.Answer(headers=((POLICIES, "answer"),)))
    asked = poll(pair, "answered", m.Property.POLICIES, expected="answer", headers=((POLICIES, "sent"),))
    assert await pair.watch(asked) == (m.PollResult(value="answer", convincing=True, at_once=True),)


async def test_policies_of_an_answer_that_is_none_of_the_application_do_not_count(pair: Any) -> None:
    early = m.Answer(status=503, headers=((POLICIES, "mark"),))
    for number in range(2):
        await pair.script(f"early-{number}", early)
    for number in range(2, 5):
        await pair.script(f"early-{number}", m.Answer(headers=((POLICIES, "mark"),)))
    (result,) = await pair.watch(poll(pair, "early", m.Property.POLICIES_SERVED, expected="mark"))
    assert result == m.PollResult(value="mark", convincing=True, at_once=False)
    assert [len(await pair.ledger(f"early-{number}")) for number in range(6)] == [1, 1, 1, 1, 1, 0]


async def test_requests_that_nobody_answers_are_under_way_at_once(pair: Any) -> None:
    for number in range(3):
        await pair.script(f"dropped-{number}", m.Answer(behaviour=m.Behaviour.STALL))
    asked = poll(pair, "dropped", m.Property.SERVED, expected=False, drops=True, patience=3.0)
    assert await pair.watch(asked) == (m.PollResult(value=False, convincing=True, at_once=True),)
    first, *_, last = [(await pair.ended(f"dropped-{number}"))[0] for number in range(3)]
    assert last.arrived < first.ended


@pytest.mark.parametrize("expected", [{}, {"expected": False}])
async def test_silence_is_no_refusal_where_nothing_is_dropped(pair: Any, expected: dict[str, Any]) -> None:
    for number in range(3):
        await pair.script(f"stalled{len(expected)}-{number}", m.Answer(behaviour=m.Behaviour.STALL))
    asked = poll(pair, f"stalled{len(expected)}", m.Property.SERVED, patience=0.2, **expected)
    (result,) = await pair.watch(asked, within=2.0)
    assert (result.value, result.convincing) == (True, not expected)


async def test_lasting_silence_ends_the_poll(pair: Any) -> None:
    for number in range(30):
        await pair.script(f"silence-{number}", m.Answer(behaviour=m.Behaviour.STALL))
    (result,) = await pair.watch(poll(pair, "silence", m.Property.SERVED, patience=0.1), within=0.5)
    assert (result.value, result.convincing) == (SILENT, False)


async def test_the_times_are_those_of_the_consecutive_requests(pair: Any) -> None:
    await pair.script("served-0", m.Answer())
    for number in range(1, 4):
        await pair.script(f"served-{number}", m.Answer(behaviour=m.Behaviour.STALL))
    asked = poll(pair, "served", m.Property.SERVED, expected=False, drops=True, patience=1.0)
    reply = await pair.client.call(m.Watch((asked,), 3, 20.0))
    (result,) = reply.results
    assert result.begun > 0
    assert result.ended - result.begun >= 1.0


async def test_requests_under_way_are_given_up_with_the_poll(pair: Any) -> None:
    await pair.script("leaving-0", m.Answer(delay=1.0))
    await pair.script("leaving-1", m.Answer(behaviour=m.Behaviour.STALL))
    asked = poll(pair, "leaving", m.Property.SERVED, expected=False, drops=True, patience=600.0)
    assert await pair.watch(asked, within=0.0) == (m.PollResult(value=True, convincing=False, at_once=False),)
    assert await pair.ended("leaving-1")


async def test_no_answer_is_not_the_same_as_no_policies(pair: Any) -> None:
    await pair.script("silent-0", m.Answer(behaviour=m.Behaviour.RESET))
    (result,) = await pair.watch(poll(pair, "silent", m.Property.POLICIES, expected=None), within=0.0)
    assert result == m.PollResult(value=False, convincing=False, at_once=False)
    (result,) = await pair.watch(poll(pair, "answer", m.Property.POLICIES, expected=None), within=0.0)
    assert result == m.PollResult(value=None, convincing=True, at_once=True)


async def test_a_scripted_answer_tells_nothing_that_is_not_scripted(pair: Any) -> None:
    await pair.script("scripted", m.Answer())
    seen = await pair.send("scripted", headers=((POLICIES, "mark"),))
    assert seen.header(m.POLICIES_SEEN_HEADER) is None


def poll(pair: Any, request_id: str, examined: m.Property, port: str = "http", **fields: Any) -> m.Poll:
    how = {name: fields.pop(name) for name in ("expected", "drops") if name in fields}
    return m.Poll(request=pair.request(request_id, port, **fields), examined=examined, **how)
