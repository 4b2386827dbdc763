"""Retries and timeouts as Istio takes them in HTTPRoutes, against golden files."""

from pathlib import Path

import pytest

from pytest_meshcheck.meshes.istio.http_route import HttpRouteMesh
from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.model.errors import Inconclusive, Unsupported
from pytest_meshcheck.model.policy import (
    Failure,
    Mode,
    MutualTls,
    Policy,
    RequestsPerConnection,
    Retry,
    RetryBudget,
    Timeout,
)
from pytest_meshcheck.testbed.convergence.applied import AppliedPolicies
from tests.unit.rendering import CALLS, SERVER, TELL, golden

GOLDEN = Path(__file__).parent / "golden-http-route"
POLICIES: dict[str, tuple[Policy, ...]] = {
    "retry": (Retry(SERVER, 2, frozenset({503, 429}), frozenset({Failure.STATUS, Failure.CONNECT}), 0.25),),
    "retry-grpc": (Retry(SERVER, 1, on=frozenset({Failure.GRPC_UNAVAILABLE})),),
    "no-retries": CALLS["no-retries"],
    "no-limit": CALLS["no-limit"],
    "budget": (Retry(SERVER, 1, frozenset({503})), RetryBudget(SERVER)),
    "together": (
        MutualTls(SERVER, Mode.STRICT),
        Retry(SERVER, 20, frozenset({503})),
        Timeout(SERVER, 0.5),
        RequestsPerConnection(SERVER, 1),
    ),
}


def mesh() -> HttpRouteMesh:
    return HttpRouteMesh(MeshRequest(None, 1.0, None, installed=True))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", POLICIES)
def test_rendered(name: str) -> None:
    assert mesh().render(POLICIES[name]) == golden(GOLDEN, name), TELL.format(name)


@pytest.mark.parametrize("failure", [Failure.RESET, Failure.GRPC_INTERNAL])
def test_what_has_no_field_is_unsupported(failure: Failure) -> None:
    with pytest.raises(Unsupported, match=f"not on {failure}"):
        mesh().render([Retry(SERVER, 1, on=frozenset({failure}))])


def test_what_can_be_listed_can_be_rendered() -> None:
    for failure in mesh().documented.retry.failures:
        assert mesh().render([Retry(SERVER, 1, on=frozenset({failure}))])


class Refusing:
    """A platform whose API server rejects each resource, for one reason."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    async def apply(self, _manifests: object) -> None:
        raise Inconclusive(f"the API server rejects HTTPRoute shop/orders: 422 {self.reason}")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("spec.rules[0].retry.attempts: Invalid value: 0: should be greater than or equal to 1", Unsupported),
        ("spec.rules[0].retry.codes: Invalid value: 999: should be less than or equal to 599", Inconclusive),
    ],
)
async def test_a_gateway_api_that_cannot_say_no_retries_makes_that_unsupported(
    reason: str, error: type[Exception]
) -> None:
    applied = AppliedPolicies(mesh(), Refusing(reason))  # type: ignore[arg-type]
    with pytest.raises(error, match="Invalid value"):
        await applied.replace([Retry(SERVER, 0)])
