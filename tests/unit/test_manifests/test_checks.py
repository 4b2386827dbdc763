"""The checks about a user's manifests, each seen to end in every verdict that it can have."""

from types import SimpleNamespace
from typing import Any

import pytest

from pytest_meshcheck.checks.access import Access, Outcome
from pytest_meshcheck.checks.verdict import Violation
from pytest_meshcheck.configuration.own import test_access as of_access, test_repetition as of_repetition
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.probe.protocol.messages import Answer, Ending, Exchange, Protocol
from pytest_meshcheck.testbed.trial.executions import Execution

pytestmark = pytest.mark.asyncio

WHERE = "shop/orders:80"
ENTRY = Access(destination=WHERE, caller="web", enrolled=True, outcome=Outcome.SERVED, arrived=True)


def exchange(ending: Ending) -> Exchange:
    return Exchange(
        request_id="a", protocol=Protocol.HTTP1, ending=ending, status=200, started=0.0, ended=0.1, wall=0.0
    )


class Mesh:
    """What a check records."""

    def __init__(self) -> None:
        self.measured: dict[str, object] = {}
        self.access: tuple[Access, ...] = ()
        self.platform = self.stalls = self

    def measure(self, name: str, value: object) -> None:
        self.measured[name] = value

    def record_access(self, access: tuple[Access, ...]) -> None:
        self.access = access

    async def ensure_alive(self) -> None:
        """Nothing died."""

    async def excuse(self, _violation: Violation) -> None:
        """Nothing stood still."""

    async def explain(self, error: Inconclusive) -> Inconclusive:
        return error


class Trial:
    """A trial that has seen this."""

    def __init__(self, itself: Ending = Ending.ANSWERED, **attempts: int) -> None:
        self.itself = itself
        self.attempts = attempts

    async def answers_itself(self, _destination: str) -> list[tuple[str, Exchange]]:
        return [("orders", exchange(self.itself))]

    async def access(self, _destination: str) -> tuple[Access, ...]:
        return (ENTRY,)

    async def executions(self, _destination: str, _method: str, _answer: Answer) -> list[Execution]:
        attempt: Any = SimpleNamespace()
        seen = exchange(Ending.RESET)
        return [Execution(caller, seen, (attempt,) * number) for caller, number in self.attempts.items()]


async def test_access_is_recorded() -> None:
    mesh = Mesh()
    await of_access.test_access(mesh=mesh, mesh_trial=Trial(), destination=WHERE)
    assert mesh.access == (ENTRY,)


async def test_nothing_is_known_of_a_stand_in_that_does_not_answer_itself() -> None:
    with pytest.raises(Inconclusive, match="orders to itself"):
        await of_access.test_access(mesh=Mesh(), mesh_trial=Trial(Ending.RESET), destination=WHERE)


@pytest.mark.parametrize("failure", of_repetition.FAILURES)
async def test_a_post_that_is_executed_once_by_each_caller_conforms(failure: str) -> None:
    mesh, trial = Mesh(), Trial(web=1, cart=1)
    await of_repetition.test_post_is_executed_at_most_once(
        mesh=mesh, mesh_trial=trial, destination=WHERE, failure=failure
    )
    assert mesh.measured == {"executed for web": 1, "executed for cart": 1}


async def test_a_post_that_is_executed_twice_for_one_caller_violates() -> None:
    mesh, trial = Mesh(), Trial(web=1, cart=3)
    with pytest.raises(Violation, match="executions of one POST from cart to shop/orders:80"):
        await of_repetition.test_post_is_executed_at_most_once(
            mesh=mesh, mesh_trial=trial, destination=WHERE, failure="503"
        )
