"""What a trial observes of the configuration of ports, with real probes; a mesh is what a wrapper of a probe does."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import msgspec
import pytest
import pytest_asyncio

from pytest_meshcheck.checks.effective_values import effective_values
from pytest_meshcheck.checks.own.limit_hazards import outlasted_limit
from pytest_meshcheck.checks.own.traffic_hazards import injected_delay, injected_fault, mirrored_requests
from pytest_meshcheck.checks.port_effects import PortEffects, Shape
from pytest_meshcheck.manifests.settings import Setting
from pytest_meshcheck.model.errors import Unsupported
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.testbed.trial import effects as observed
from pytest_meshcheck.testbed.trial.effects import PortObserver
from tests.unit.test_manifests.test_observed import LocalTrial, trial as local

pytestmark = pytest.mark.asyncio
trial = local
"""The fixture of a trial without a mesh."""

Send = Callable[[m.Send, type[m.Exchanged]], Awaitable[m.Exchanged]]


class Adapter:
    """A mesh that states everybody's identity."""

    def peer_identity(self, attempt: m.Attempt) -> str:
        return f"spiffe://local/{attempt.method}"


@pytest_asyncio.fixture
async def shop(trial: LocalTrial, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalTrial]:
    trial.adapter, trial.home, trial._observing = cast("Any", Adapter()), "", {}
    monkeypatch.setattr(observed, "SAMPLES", 4)
    monkeypatch.setattr(observed, "SAMPLED_WITHIN", 1000.0)  # the scale of the trial is 0.02
    yield trial


async def observe(trial: LocalTrial, at: int = 0, patience: float = 0.4) -> PortEffects:
    """The effects of a port; callers wait for 0.4 s."""
    return await PortObserver(trial, trial.plan.destinations[at], patience).observe()


def intercept(trial: LocalTrial, monkeypatch: pytest.MonkeyPatch, around: Callable[[Send, m.Send], Any]) -> None:
    """Have a wrapper carry out what callers send, in the place of a data plane."""
    caller = trial.those[0].workload
    asked = caller.ask

    async def ask(command: Any, expected: Any) -> Any:
        return await (around(asked, command) if isinstance(command, m.Send) else asked(command, expected))

    monkeypatch.setattr(caller, "ask", ask)


async def test_without_a_mesh_everything_is_executed_once_and_nothing_is_limited(shop: LocalTrial) -> None:
    (values,) = effective_values(await observe(shop))
    assert values.callers == ("web",)
    assert values.attempts == {name: {"503": 1, "reset": 1, "stall": 1} for name in ("GET", "POST")}
    assert values.limits == {}
    assert values.identities == ("spiffe://local/GET",)


async def test_calls_of_grpc_have_no_method(shop: LocalTrial) -> None:
    (values,) = effective_values(await observe(shop, at=1))
    assert values.attempts == {"call": {"unavailable": 1, "reset": 1, "stall": 1}}


async def test_over_tcp_only_access_is_observed(shop: LocalTrial) -> None:
    seen = await observe(shop, at=2)
    assert (len(seen.access), seen.calls) == (4, ())
    with pytest.raises(Unsupported, match="speaks tcp, which has neither methods nor answers"):
        await shop.effects(str(shop.plan.destinations[2]))


async def test_sound_traffic_has_no_hazard(shop: LocalTrial) -> None:
    seen = await observe(shop)
    assert len(seen.samples) == 4
    for hazard in (
        injected_fault(seen, ()),
        injected_delay(seen, (), 1.0),
        mirrored_requests(seen, ()),
        outlasted_limit(seen, (), None),
    ):
        assert not hazard.found


async def answered(asked: Send, command: m.Send, status: int) -> m.Exchanged:
    """An answer to a request that is sent nowhere."""
    sent = command.request
    reply = await asked(m.Send(msgspec.structs.replace(sent, request_id=f"other-{sent.request_id}")), m.Exchanged)
    return m.Exchanged(
        msgspec.structs.replace(reply.exchange, request_id=sent.request_id, ending=m.Ending.ANSWERED, status=status)
    )


async def test_an_answer_in_the_place_of_the_service_is_a_fault(
    shop: LocalTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def abort(asked: Send, command: m.Send) -> m.Exchanged:
        if command.request.request_id.endswith(("sample-1", "sample-2", "-0")):
            return await answered(asked, command, 555)
        return await asked(command, m.Exchanged)

    intercept(shop, monkeypatch, abort)
    seen = await observe(shop)
    assert injected_fault(seen, ()).found == ("3 of 4 GET / from web ended with status 555, and it never saw them",)
    (values,) = effective_values(seen)
    assert values.attempts["GET"] == {"503": 1, "reset": 1, "stall": 1}, "sent again, as the mesh answered it first"


async def test_rules_behind_conditions_are_met(shop: LocalTrial, monkeypatch: pytest.MonkeyPatch) -> None:
    async def abort(asked: Send, command: m.Send) -> m.Exchanged:
        if ("end-user", "jason") in command.request.headers and command.request.path == "/pay":
            return await answered(asked, command, 500)
        return await asked(command, m.Exchanged)

    intercept(shop, monkeypatch, abort)
    monkeypatch.setattr(observed, "conditioned", lambda *_: (Shape("POST", "/pay", (("end-user", "jason"),)),))
    seen = await observe(shop)
    assert injected_fault(seen, ()).found == (
        "4 of 4 POST /pay with end-user: jason from web ended with status 500, and it never saw them",
    )
    assert len(effective_values(seen)) == 1


async def test_a_request_that_arrives_late_is_delayed(shop: LocalTrial, monkeypatch: pytest.MonkeyPatch) -> None:
    async def late(asked: Send, command: m.Send) -> m.Exchanged:
        reply = await asked(command, m.Exchanged)
        if "sample" not in command.request.request_id:
            return reply
        return m.Exchanged(msgspec.structs.replace(reply.exchange, ended=reply.exchange.ended + 4.0))

    intercept(shop, monkeypatch, late)
    (said,) = injected_delay(await observe(shop), (), 1.0).found
    assert re.match(r"4 of 4 GET / from web took [45]\.\d s, 0\.\d s of it there", said)


async def test_a_copy_of_a_request_is_a_mirror(shop: LocalTrial, monkeypatch: pytest.MonkeyPatch) -> None:
    async def twice(asked: Send, command: m.Send) -> m.Exchanged:
        await asked(command, m.Exchanged)
        return await asked(command, m.Exchanged)

    intercept(shop, monkeypatch, twice)
    assert mirrored_requests(await observe(shop), ()).found == ("4 of 4 GET / from web arrived at shop/web as well",)


async def test_retries_that_outlast_a_limit_are_found(shop: LocalTrial, monkeypatch: pytest.MonkeyPatch) -> None:
    async def retried(asked: Send, command: m.Send) -> m.Exchanged:
        """Three attempts of 0.4 s each, with a limit of 0.5 s."""
        stalls = "stall" in command.request.request_id
        first = await asked(command, m.Exchanged)
        if "sample" in command.request.request_id:
            return first
        for _ in range(1 if stalls else 2):
            await asked(command, m.Exchanged)
        cut = {"ending": m.Ending.ANSWERED, "status": 504, "ended": first.exchange.started + 0.5}
        return m.Exchanged(msgspec.structs.replace(first.exchange, **(cut if stalls else {})))

    intercept(shop, monkeypatch, retried)
    seen = await observe(shop)
    (values,) = effective_values(seen)
    assert values.attempts["POST"] == {"503": 3, "reset": 3, "stall": 2}
    assert values.limits == {"GET": 0.5, "POST": 0.5}
    of_get, of_post = outlasted_limit(seen, (), None).found
    assert re.match(r"GET from web is ended after 0\.5 s, with 2 of 3 attempts begun: each takes \d\.\d s", of_get)
    assert of_post.startswith("POST from web")


async def test_a_service_that_goes_on_for_a_caller_that_was_cut_is_found(
    shop: LocalTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[asyncio.Task[m.Exchanged]] = []

    async def cut(asked: Send, command: m.Send) -> m.Exchanged:
        """End a request that stalls, while the attempt goes on, and another one begins."""
        if "stall" not in command.request.request_id:
            return await asked(command, m.Exchanged)
        patient = m.Send(msgspec.structs.replace(command.request, patience=3.0))
        sent.append(asyncio.ensure_future(asked(patient, m.Exchanged)))
        await shop.web.wait_for_attempts(command.request.request_id)
        exchange = (await answered(asked, command, 504)).exchange
        return m.Exchanged(exchange)

    intercept(shop, monkeypatch, cut)
    found = outlasted_limit(await observe(shop), (), None).found
    assert [one.split(" is ended")[0] for one in found] == ["GET from web", "POST from web"]
    assert all(one.endswith("and the service goes on with 1 attempt") for one in found)
    await asyncio.gather(*sent)


async def test_a_caller_that_is_not_let_in_has_no_values(shop: LocalTrial) -> None:
    async with shop.web.closed("http"):
        seen = await observe(shop)
    assert effective_values(seen) == ()
    assert {one.form for one in seen.samples} == {"connect-refused"}


async def test_all_ports_are_observed_once(shop: LocalTrial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observed, "PATIENCE", 0.4)
    http, grpc, tcp = map(str, shop.plan.destinations)
    seen = await shop.effects(http)
    assert await shop.effects(http) is seen
    assert (await shop.effects_around(tcp))[0].destination == tcp
    assert (await shop.effects(grpc)).destination == grpc
    assert (await shop.effects_around(http))[1] == (), "one workload has them all"
    assert shop.settings(http, Setting.FAULT) == ()


async def test_what_is_under_way_ends_with_the_trial(shop: LocalTrial, monkeypatch: pytest.MonkeyPatch) -> None:
    async def closed(_trial: object) -> None:
        """Nothing was made."""

    monkeypatch.setattr("pytest_meshcheck.testbed.trial.stand_ins.StandIns.close", closed)
    begun: list[asyncio.Task[PortEffects]] = []

    async def waiting(tasks: Any) -> None:
        """The check is interrupted as soon as it waits."""
        begun.extend(tasks)
        raise KeyboardInterrupt

    monkeypatch.setattr("pytest_meshcheck.testbed.trial.trial.asyncio.wait", waiting)
    with pytest.raises(KeyboardInterrupt):
        await shop.effects(str(shop.plan.destinations[0]))
    await shop.close()
    assert [one.cancelled() for one in begun] == [True] * 3
