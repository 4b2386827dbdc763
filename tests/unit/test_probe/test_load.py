"""Open-loop load."""

from typing import Any

import pytest

from pytest_meshcheck.probe.protocol import messages as m

pytestmark = pytest.mark.asyncio(loop_scope="module")


def plan(
    pair: Any, request_id: str, rate: float, seconds: float | None = None, port: str = "http", **fields: Any
) -> m.LoadPlan:
    template = m.Request(request_id="", address=pair.ports[port], **({"authority": "server"} | fields))
    return m.LoadPlan(request_id=request_id, template=template, rate=rate, seconds=seconds)


async def loaded(pair: Any, the_plan: m.LoadPlan) -> m.LoadResult:
    assert await pair.client.call(m.StartLoad(the_plan)) == m.Done()
    reply = await pair.client.call(m.FinishLoad(the_plan.request_id))
    assert isinstance(reply, m.Loaded), reply
    return reply.result


async def test_every_arrival_is_due_on_schedule_and_accounted_for(pair: Any) -> None:
    result = await loaded(pair, plan(pair, "load", rate=100, seconds=1))
    attempts = await pair.ledger("load-", prefix=True)
    assert len(result.scheduled) == len(result.sent) == len(result.ended) == 100
    gaps = [b - a for a, b in zip(result.scheduled, result.scheduled[1:], strict=False)]
    assert gaps == pytest.approx([0.01] * 99)
    assert all(sent >= due for due, sent in zip(result.scheduled, result.sent, strict=True))
    assert set(result.endings) == {m.Ending.ANSWERED}
    assert set(result.statuses) == {200}
    assert {attempt.request_id for attempt in attempts} == {f"load-{n}" for n in range(100)}
    assert len({attempt.peer for attempt in attempts}) == 100


async def test_slow_answers_do_not_slow_arrivals(pair: Any) -> None:
    for number in range(20):
        await pair.script(f"slow-{number}", m.Answer(delay=1))
    result = await loaded(pair, plan(pair, "slow", rate=100, seconds=0.2))
    assert result.sent[-1] < min(result.ended)
    assert set(result.statuses) == {200}


async def test_a_load_without_end_runs_until_it_is_told_to_stop(pair: Any) -> None:
    assert await pair.client.call(m.StartLoad(plan(pair, "endless", rate=200))) == m.Done()
    await pair.ended("endless-9")
    result = (await pair.client.call(m.FinishLoad("endless"))).result
    assert len(result.sent) >= 10
    assert len(result.endings) == len(result.statuses) == len(result.details) == len(result.sent)


async def test_failures_are_outcomes(pair: Any, unused: tuple[str, int]) -> None:
    the_plan = plan(pair, "failing", rate=100, seconds=0.1)
    template = m.Request(request_id="", address=unused, authority="a")
    result = await loaded(pair, m.LoadPlan(request_id="failing", template=template, rate=100, seconds=0.1))
    assert the_plan.rate == 100
    assert set(result.endings) == {m.Ending.CONNECT_REFUSED}
    assert set(result.statuses) == {-1}


async def test_grpc_statuses_are_told(pair: Any) -> None:
    await pair.script("grpc-load-3", m.Answer(grpc_status=14))
    result = await loaded(pair, plan(pair, "grpc-load", 50, 0.2, port="grpc", protocol=m.Protocol.GRPC))
    assert result.statuses == (0, 0, 0, 14, 0, 0, 0, 0, 0, 0)


async def test_a_request_that_makes_no_sense_fails_the_load(pair: Any) -> None:
    assert await pair.client.call(m.StartLoad(plan(pair, "bad", rate=100, seconds=0.05, path="/a b"))) == m.Done()
    reply = await pair.client.call(m.FinishLoad("bad"))
    assert isinstance(reply, m.Failed)
    assert "HTTP/1.1" in reply.error


async def test_a_load_that_comes_too_late_ends_and_says_so(pair: Any) -> None:
    hopeless = m.LoadPlan(request_id="late", template=plan(pair, "late", 1).template, rate=1e6, late=0.05)
    assert await pair.client.call(m.StartLoad(hopeless)) == m.Done()
    while not (kept := await pair.client.call(m.KeepsUp("late"))).overrun:
        pass
    assert kept.late > 0.05
    result = (await pair.client.call(m.FinishLoad("late"))).result
    assert result.overrun
    assert result.sent[-1] - result.scheduled[-1] > 0.05
    assert len(result.endings) == len(result.sent)


async def test_a_load_that_is_sent_in_time_keeps_up(pair: Any) -> None:
    assert await pair.client.call(m.StartLoad(plan(pair, "in-time", rate=20))) == m.Done()
    assert not (await pair.client.call(m.KeepsUp("in-time"))).overrun
    assert not (await pair.client.call(m.FinishLoad("in-time"))).result.overrun
