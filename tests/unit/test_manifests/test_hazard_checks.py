"""The checks of effective values and hazards, each seen to conform, and to violate or be unsupported."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_meshcheck.checks.access import Access
from pytest_meshcheck.checks.effective_values import EffectiveValues, effective_values
from pytest_meshcheck.checks.own.chain_hazards import ChainCall, Hop
from pytest_meshcheck.checks.own.limit_hazards import Retried
from pytest_meshcheck.checks.port_effects import PortEffects
from pytest_meshcheck.checks.verdict import Violation
from pytest_meshcheck.configuration.own import (
    test_effects as of_effects,
    test_exposure as of_exposure,
    test_repetition as of_repetition,
)
from pytest_meshcheck.manifests.settings import Setting
from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.model.errors import Unsupported
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.platforms.local.platform import Processes
from pytest_meshcheck.probe.process.pulse import now
from pytest_meshcheck.probe.protocol.messages import Ending, Protocol
from pytest_meshcheck.testbed.mesh import MeshUnderTest
from tests.unit.test_manifests import test_checks
from tests.unit.test_manifests.test_hazards import (
    ABORTED,
    COPY,
    PORT,
    WHERE,
    elsewhere,
    entry,
    failed,
    refused,
    seen,
    served,
    stalled,
    turned_away,
    ways,
)

pytestmark = pytest.mark.asyncio
Check = Callable[..., Awaitable[None]]


class Mesh(test_checks.Mesh):
    """What a check records and recalls."""

    def __init__(self) -> None:
        super().__init__()
        self.recalled: list[PortEffects] = []
        self.effective: Sequence[EffectiveValues] = ()
        self.refusals = self
        self.plaintext = frozenset({Ending.RESET})

    def recall(self, observed: PortEffects) -> PortEffects:
        self.recalled.append(observed)
        return observed

    def record_effective(self, values: Sequence[EffectiveValues]) -> None:
        self.effective = values


class Trial:
    """A trial that has seen this, under manifests that configure everything in one place."""

    def __init__(self, observed: PortEffects, around: Sequence[Access] = (), hops: tuple[Hop, ...] = ()) -> None:
        self.observed, self.around, self.hops = observed, around, hops

    async def chain_calls(self, _destination: str) -> Sequence[ChainCall]:
        return [ChainCall("shop/web", "GET", "503", self.hops or (Hop(PORT, 3),), "id")]

    def settings_along(self, _sent: Sequence[ChainCall], _what: Setting) -> tuple[str, ...]:
        return WHERE

    async def effects(self, _destination: str) -> PortEffects:
        return self.observed

    async def observation(self, destination: str) -> PortEffects:
        return await self.effects(destination)

    async def effects_around(self, _destination: str) -> tuple[PortEffects, Sequence[Access]]:
        return self.observed, self.around

    def settings(self, _destination: str, _what: Setting) -> tuple[str, ...]:
        return WHERE

    def settings_around(self, _destination: str, _what: Setting) -> tuple[str, ...]:
        return WHERE

    def limit_of_one_attempt(self, _destination: str) -> None:
        """None is written."""

    def written_retries(self, _destination: str) -> tuple[Retried, ...]:
        return (Retried(WHERE[0], frozenset({"503"})),)


async def checked(check: Check, trial: Trial) -> Mesh:
    mesh = Mesh()
    await check(mesh=mesh, mesh_trial=trial, destination=PORT)
    assert mesh.recalled == [trial.observed]
    return mesh


SOUND = seen(
    *served(), failed(2), failed(1, method="POST"), stalled(2.0, 0.0, 1.0), access=ways(entry, entry, "outsider")
)
PAID_THRICE = failed(3, method="POST")
BAD: dict[str, tuple[Check, Trial, str]] = {
    # case: the check, what was seen, what is said
    "post-is-executed-at-most-once": (
        functools.partial(of_repetition.test_post_is_executed_at_most_once, failure="503"),
        Trial(seen(PAID_THRICE, failed(1, method="POST", caller="shop/cart"))),
        "requests to shop/orders:80 that fail (503): one execution of each, but POST from shop/web is executed 3 times",
    ),
    "limit-fits-retries": (
        of_effects.test_limit_fits_retries,
        Trial(seen(failed(4), stalled(2.0, 0.0, 1.0))),
        "limit of shop/orders:80: all attempts to end within it, but GET from shop/web is ended after 2.0 s",
    ),
    "retries-are-limited": (
        of_effects.test_retries_are_limited,
        Trial(seen(failed(4), stalled(None, 0.0))),
        "requests to shop/orders:80: a limit on time beside retries, but GET from shop/web is tried 4 times",
    ),
    "retries-fire": (
        of_effects.test_retries_fire,
        Trial(seen(failed(1))),
        "retries of shop/orders:80: a request that fails to be repeated, but 1 requests that failed with 503",
    ),
    "retries-do-not-multiply": (
        of_effects.test_retries_do_not_multiply,
        Trial(SOUND, hops=(Hop("shop/cart:80", 3), Hop(PORT, 9))),
        "requests that end at shop/orders:80: retries at one call of a chain at most, but 1 GET from shop/web "
        "arrives 3 times at shop/cart:80 and 9 times at shop/orders:80, which fails with 503",
    ),
    "requests-reach-the-service": (
        of_effects.test_requests_reach_the_service,
        Trial(seen(*[ABORTED] * 2)),
        "requests to shop/orders:80: an answer of the service to each, but 2 of 2 GET / from shop/web ended",
    ),
    "requests-are-not-delayed": (
        of_effects.test_requests_are_not_delayed,
        Trial(seen(*served(seconds=3.0))),
        "requests to shop/orders:80: no delay on their way, but 2 of 2 GET / from shop/web took 3.0 s",
    ),
    "requests-are-not-mirrored": (
        of_effects.test_requests_are_not_mirrored,
        Trial(seen(COPY, COPY)),
        "requests to shop/orders:80: each to arrive once, but 2 of 2 GET / from shop/web arrived at shop/audit as well",
    ),
    "name-and-address-agree": (
        of_exposure.test_name_and_address_agree,
        Trial(seen(access=ways(refused, entry, "shop/web"))),
        "access to shop/orders:80: the same by name and by address, but shop/web: refused by name (status 403)",
    ),
    "plaintext-is-refused-alike": (
        of_exposure.test_plaintext_is_refused_alike,
        Trial(seen(access=(entry("outsider"),)), elsewhere(turned_away(), entry("shop/web"))),
        "plaintext to shop/orders:80: the same as in the rest of its namespace, but it serves outsider in plaintext",
    ),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_hazard_violates_and_leads_to_its_place(case: str) -> None:
    check, trial, said = BAD[case]
    with pytest.raises(Violation) as violation:
        await checked(check, trial)
    assert str(violation.value).startswith(f"expected {said}")
    assert str(violation.value).endswith(f"(see {WHERE[0]})")


@pytest.mark.parametrize("case", BAD)
async def test_a_sound_port_conforms(case: str) -> None:
    await checked(BAD[case][0], Trial(SOUND, elsewhere(entry("outsider"), entry("shop/web"))))


async def test_only_a_delay_and_a_silent_refusal_rest_on_time() -> None:
    resting = {}
    for case, (check, trial, _) in BAD.items():
        with pytest.raises(Violation) as violation:
            await checked(check, trial)
        resting[case] = violation.value.rests_on is not None
    assert [case for case, rests in resting.items() if rests] == ["requests-are-not-delayed"]


async def test_effective_values_are_recorded() -> None:
    (values,) = (await checked(of_effects.test_effective_values, Trial(SOUND))).effective
    assert (values.callers, values.limits, values.attempts) == (
        ("shop/web",),
        {"GET": 2.0},
        {"GET": {"503": 2, "stall": 2}, "POST": {"503": 1}},
    )


async def test_where_nobody_is_let_in_there_are_no_values() -> None:
    arguments: dict[str, Any] = {"mesh": Mesh(), "mesh_trial": Trial(seen(ABORTED)), "destination": PORT}
    with pytest.raises(Unsupported, match="no workload of the mesh is served by shop/orders:80"):
        await of_effects.test_effective_values(**arguments)


@pytest.mark.parametrize("failure", of_repetition.FAILURES)
async def test_a_port_without_posts_cannot_execute_one_twice(failure: str) -> None:
    arguments: dict[str, Any] = {"mesh": Mesh(), "mesh_trial": Trial(seen(failed(3))), "destination": PORT}
    with pytest.raises(Unsupported, match="executes no POST"):
        await of_repetition.test_post_is_executed_at_most_once(**arguments, failure=failure)


async def test_a_call_counts_where_the_manifests_have_it_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = seen(failed(3, "unavailable", method="call"), failed(1, "reset", method="call"))
    trial = Trial(dataclasses.replace(calls, protocol=Protocol.GRPC))
    arguments: dict[str, Any] = {"mesh": Mesh(), "mesh_trial": trial, "destination": PORT}
    await of_repetition.test_post_is_executed_at_most_once(**arguments, failure="reset")
    with pytest.raises(Violation, match="call from shop/web is executed 3 times"):
        await of_repetition.test_post_is_executed_at_most_once(**arguments, failure="503")
    monkeypatch.setattr(trial, "settings", lambda _destination, _what: ())
    with pytest.raises(Unsupported, match="no manifest has the mesh repeat calls"):
        await of_repetition.test_post_is_executed_at_most_once(**arguments, failure="503")


async def test_what_was_observed_before_is_evidence_of_the_check(tmp_path: Path) -> None:
    platform = Processes(Journal(), tmp_path)
    mesh = MeshUnderTest(EnvoyMesh(), platform)
    mesh.begin_check(None)
    before = now()
    mesh.recall(dataclasses.replace(SOUND, since=before - 60))
    mesh.record_effective(effective_values(SOUND))
    kinds = Counter(one.kind for one in mesh.journal.entries)
    assert kinds == {"exchange": len(SOUND.calls), "attempts": 1, "effective": 1}
    ((since, _),) = mesh.stalls._earlier
    assert since == before - 60, "stalls during the earlier observation count"
    mesh.begin_check(None)
    assert (mesh.effective, mesh.journal.entries) == ((), [])
    await platform.close()
