"""The checks about a user's manifests, each seen to end in every verdict that it can have."""

from types import SimpleNamespace
from typing import Any

import pytest

from pytest_meshcheck.checks.access import Access, Outcome
from pytest_meshcheck.checks.verdict import Time, Violation
from pytest_meshcheck.configuration.own import (
    test_access as of_access,
    test_expected as of_expectations,
    test_repetition as of_repetition,
    test_without_effect as of_resources,
)
from pytest_meshcheck.manifests.expectations.expected import Identity, Limit, Once
from pytest_meshcheck.manifests.mutation.parts import Part
from pytest_meshcheck.manifests.reading import Text, objects_in
from pytest_meshcheck.model.errors import Inconclusive, Unsupported
from pytest_meshcheck.probe.protocol.messages import Answer, Ending, Exchange, Protocol
from pytest_meshcheck.testbed.trial.executions import Execution
from pytest_meshcheck.testbed.trial.mutation import Removal

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

    tolerance = 0.5

    def time(self, seconds: float) -> Time:
        return Time(lost=self.tolerance, during=seconds)

    def peer_identity(self, attempt: Any) -> str:
        return f"spiffe://local/{attempt.caller}"

    def measure(self, name: str, value: object) -> None:
        self.measured[name] = value

    def record_access(self, access: tuple[Access, ...]) -> None:
        self.access = access

    async def ensure_alive(self) -> None:
        """Nothing died."""

    async def crashes(self) -> tuple[str, ...]:
        return ()

    async def excuse(self, _violation: Violation) -> None:
        """Nothing stood still."""

    async def explain(self, error: Inconclusive) -> Inconclusive:
        return error


class Trial:
    """A trial that has seen this."""

    def __init__(self, itself: Ending = Ending.ANSWERED, **attempts: int) -> None:
        self.itself = itself
        self.attempts = attempts
        self.how: dict[str, Any] = {}

    async def answers_itself(self, _destination: str) -> list[tuple[str, Exchange]]:
        return [("orders", exchange(self.itself))]

    async def access(self, _destination: str) -> tuple[Access, ...]:
        return (ENTRY,)

    async def calls_of(self, caller: str) -> list[Any]:
        return [SimpleNamespace(caller=caller)] * self.attempts[caller]

    async def executions(self, _destination: str, _method: str, _answer: Answer, **how: Any) -> list[Execution]:
        attempt: Any = SimpleNamespace()
        self.how, seen = how, exchange(Ending.RESET)
        return [Execution(caller, seen, (attempt,) * number) for caller, number in self.attempts.items()]


async def test_access_is_recorded() -> None:
    mesh = Mesh()
    await of_access.test_access(mesh=mesh, mesh_trial=Trial(), destination=WHERE)
    assert mesh.access == (ENTRY,)


async def test_nothing_is_known_of_a_stand_in_that_does_not_answer_itself() -> None:
    with pytest.raises(Inconclusive, match="orders to itself"):
        await of_access.test_access(mesh=Mesh(), mesh_trial=Trial(Ending.RESET), destination=WHERE)


ONCE = Once(WHERE, "PUT", "/pay")


@pytest.mark.parametrize("failure", of_repetition.FAILURES)
async def test_a_request_that_is_executed_once_as_expected_conforms(failure: str) -> None:
    trial = Trial(web=1)
    await of_repetition.test_request_is_executed_at_most_once(
        mesh=Mesh(), mesh_trial=trial, expected_once=ONCE, failure=failure
    )
    assert trial.how == {"path": "/pay"}


async def test_a_request_that_is_executed_twice_violates() -> None:
    with pytest.raises(Violation, match="executions of one PUT /pay from cart"):
        await of_repetition.test_request_is_executed_at_most_once(
            mesh=Mesh(), mesh_trial=Trial(web=1, cart=2), expected_once=ONCE, failure="503"
        )


async def limited(seconds: float, **attempts: int) -> Mesh:
    """The check of a limit where a caller waits for 0.1 s."""
    mesh, trial = Mesh(), Trial(**attempts)
    limit = Limit(WHERE, seconds, "/pay")
    await of_expectations.test_wait_is_limited(mesh=mesh, mesh_trial=trial, expected_limit=limit)
    assert trial.how == {"path": "/pay", "patience": seconds + 5}
    return mesh


async def test_a_wait_within_the_limit_and_the_tolerance_conforms() -> None:
    assert (await limited(0.05, web=1)).measured == {"seconds of web": 0.1}


async def test_a_wait_beyond_the_limit_violates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mesh, "tolerance", 0.01)
    with pytest.raises(Violation, match="seconds that cart waits for shop/orders:80 /pay: at most") as violation:
        await limited(0.05, cart=2)
    assert violation.value.rests_on is not None


async def test_a_wait_for_what_never_arrived_shows_nothing() -> None:
    with pytest.raises(Inconclusive, match="attempts of web at the application"):
        await limited(1.0, web=0)


async def test_an_identity_as_expected_conforms() -> None:
    mesh, expected = Mesh(), Identity("web", "spiffe://local/web")
    await of_expectations.test_identity_is_as_expected(mesh=mesh, mesh_trial=Trial(web=2), expected_identity=expected)
    assert mesh.measured == {"identity of web": "spiffe://local/web"}


async def test_another_identity_violates() -> None:
    expected = Identity("web", "spiffe://local/cart")
    with pytest.raises(Violation, match="identity of web: 'spiffe://local/cart', but it is 'spiffe://local/web'"):
        await of_expectations.test_identity_is_as_expected(
            mesh=Mesh(), mesh_trial=Trial(web=1), expected_identity=expected
        )


POLICY = objects_in([Text("k8s.yaml", "apiVersion: a/v1\nkind: Policy\nmetadata: {name: orders, namespace: shop}\n")])[
    0
]
NO_SELECTOR = "no workload has the labels app: order"


async def without(*changes: str, reason: str = "", unseen: str = "") -> Mesh:
    """The check of a resource whose removal came to this."""
    mesh, removal = Mesh(), Removal(changes, reason, unseen, 8.04)

    class Mutation:
        async def without(self, _part: Part) -> Removal:
            return removal

    part = Part(POLICY, (), "", POLICY.place)
    await of_resources.test_resource_acts(mesh=mesh, mesh_mutation=Mutation(), resource_part=part)
    return mesh


async def test_a_resource_without_which_something_changes_conforms() -> None:
    measured = (await without("outcome: 403, without it served", "b", unseen="headers")).measured
    assert measured["for example"] == "outcome: 403, without it served"
    assert (measured["changes without it"], measured["taken out and back in (s)"]) == (2, 8.0)


@pytest.mark.parametrize(("reason", "said"), [("", "nothing changes without it$"), (NO_SELECTOR, f": {NO_SELECTOR}$")])
async def test_a_resource_without_which_nothing_changes_violates_with_its_line_and_the_reason(
    reason: str, said: str
) -> None:
    with pytest.raises(Violation, match=rf"Policy shop/orders \(k8s\.yaml:1\): to change what the mesh does.*{said}"):
        await without(reason=reason)


async def test_a_resource_whose_effect_may_be_hidden_is_unsupported() -> None:
    said = r"without Policy shop/orders \(k8s\.yaml:1\); but the effect of headers is not measured"
    with pytest.raises(Unsupported, match=said):
        await without(unseen="the effect of headers is not measured")
