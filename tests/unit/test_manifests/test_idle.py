"""How long connections may be idle, with real probes and without a mesh."""

import pytest

from pytest_meshcheck.checks.effective_values import PAUSES
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.testbed.trial import idle
from pytest_meshcheck.testbed.trial.idle import idle_limit
from tests.unit.test_manifests.test_observed import LocalTrial, trial as local_trial

pytestmark = pytest.mark.asyncio

trial = local_trial


@pytest.mark.parametrize("port", [0, 1, 2], ids=["http", "grpc", "tcp"])
async def test_connections_that_nobody_closes_are_open(port: int, trial: LocalTrial) -> None:
    assert await idle_limit(trial, trial.plan.destinations[port], trial.those[1]) == 0.0


@pytest.mark.parametrize("port", [0, 1], ids=["http", "grpc"])
@pytest.mark.parametrize("pause", PAUSES)
async def test_the_pause_after_which_a_connection_is_closed_is_found(
    pause: float, port: int, trial: LocalTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle, "new_id", lambda: "idle")
    await trial.web.ask(m.SetScript(f"idle-{pause:g}", (m.Answer(behaviour=m.Behaviour.CLOSE),)), m.Done)
    assert await idle_limit(trial, trial.plan.destinations[port], trial.those[1]) == pause


async def test_a_caller_that_is_not_let_in_has_no_limit(trial: LocalTrial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "new_id", lambda: "idle")
    await trial.web.ask(m.SetScript("idle", (m.Answer(status=403),)), m.Done)
    assert await idle_limit(trial, trial.plan.destinations[0], trial.those[1]) is None
