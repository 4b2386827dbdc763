"""Taking parts out, observing and putting them back: on a mesh of which this file says what each part does."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import cast

import pytest

from pytest_meshcheck.manifests.mutation.parts import Part
from pytest_meshcheck.manifests.mutation.stimuli import Stimuli
from pytest_meshcheck.model.errors import Inconclusive, Unsupported
from pytest_meshcheck.testbed.trial import mutation as module
from pytest_meshcheck.testbed.trial.behaviour import STALL, Aspect, Cell, Stimulus
from pytest_meshcheck.testbed.trial.mutation import Mutation
from pytest_meshcheck.testbed.trial.part_stimuli import PartStimuli, cheapest_first
from pytest_meshcheck.testbed.trial.stand_ins import StandIns

from .configured import configured, resource

pytestmark = pytest.mark.asyncio

ROUTE = resource("VirtualService", "orders", "{hosts: [orders], http: [{timeout: 1s}]}")
LEDGER = resource("VirtualService", "ledger", "{hosts: [ordres], http: [{timeout: 1s}]}")
WEB = resource("VirtualService", "web", "{hosts: [web], http: [{timeout: 1s}]}")
POOL = resource(
    "DestinationRule", "orders", "{host: orders, trafficPolicy: {connectionPool: {}, tls: {mode: DISABLE}}}"
)
NAME = "VirtualService shop/orders"

Values = Callable[["Mesh", Cell], Iterable[str]]
"""What a cell is while certain parts are out."""


class Mesh:
    """A mesh whose behaviour depends on what is out of it; a change acts some rounds after it was made."""

    def __init__(self, values: Values, lag: int = 0, shows_marker: bool = True) -> None:
        self.values, self.lag, self.shows_marker = values, lag, shows_marker
        self.out: set[str] = set()
        self.acting: list[frozenset[str]] = []
        self.rounds = 0
        self.log: list[str] = []
        self.broken = False

    async def observed(self, _trial: object, sent: Sequence[Stimulus], _known: Stimuli) -> dict[Cell, frozenset[str]]:
        self.rounds += 1
        self.acting.append(frozenset(self.out))
        self.now = self.acting[max(0, len(self.acting) - 1 - self.lag)]
        aspects = {STALL: [Aspect.LIMIT], "": [Aspect.OUTCOME, Aspect.WORKLOADS]}
        cells = [
            Cell("shop/web-v1", "", one, aspect)
            for one in sent
            for aspect in aspects.get(one.failure, [Aspect.OUTCOME])
        ]
        return {cell: frozenset(self.values(self, cell)) for cell in cells}

    async def take_out(self, _trial: object, part: Part) -> None:
        self.log.append(f"out {part}")
        self.out.add(str(part))

    async def put_back(self, _trial: object, part: Part, _ages: object) -> None:
        self.log.append(f"back {part}")
        if not self.broken:
            self.out.discard(str(part))

    async def by_age(self, _trial: object, resources: Sequence[object]) -> list[object]:
        return list(resources)

    async def unfollowed(self) -> list[str]:
        return [] if self.shows_marker else ["shop/web-v1"]


def mutation(
    monkeypatch: pytest.MonkeyPatch, mesh: Mesh, *resources: str, budget: float = 60.0
) -> tuple[Mutation, dict[str, Part]]:
    """The removals on a mesh, with waits of a hundredth of theirs."""
    around, found = configured(*resources)
    for name in ("observed", "take_out", "put_back", "by_age"):
        monkeypatch.setattr(module, name, getattr(mesh, name))
    monkeypatch.setattr(module, "PAUSE", 0.001)
    monkeypatch.setattr(module, "Marker", lambda _trial: mesh)
    trial = cast("StandIns", type("Scaled", (), {"scale": 0.01})())
    return Mutation(trial, around, budget), found


def steady(_mesh: Mesh, cell: Cell) -> Iterable[str]:
    """Nothing depends on any part."""
    return ["1 s"] if cell.aspect is Aspect.LIMIT else ["served"]


def unless_out(part: str, aspect: Aspect, value: str, before: Values = steady) -> Values:
    """One part matters, to one aspect."""

    def values(mesh: Mesh, cell: Cell) -> Iterable[str]:
        return [value] if part in mesh.now and cell.aspect is aspect else before(mesh, cell)

    return values


async def test_a_part_without_which_nothing_changes_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = Mesh(steady)
    removals, found = mutation(monkeypatch, mesh, LEDGER)
    seen = await removals.without(found["VirtualService shop/ledger"])
    assert (seen.changes, seen.unseen) == ((), "")
    assert seen.reason == "no service of these manifests has the host ordres.shop.svc.cluster.local"
    assert mesh.log == ["out VirtualService shop/ledger", "back VirtualService shop/ledger"]


@pytest.mark.parametrize("lag", [0, 2])
async def test_a_part_that_matters_to_an_outcome_acts_also_where_the_mesh_is_slow(
    monkeypatch: pytest.MonkeyPatch, lag: int
) -> None:
    mesh = Mesh(unless_out(NAME, Aspect.OUTCOME, "status 503"), lag)
    removals, found = mutation(monkeypatch, mesh, ROUTE)
    seen = await removals.without(found[NAME])
    assert "outcome of GET / from shop/web-v1 to shop/orders:8080: served, without it status 503" in seen.changes
    assert (mesh.out, removals.broken) == (set(), "")


async def test_a_part_that_matters_to_a_stall_alone_acts(monkeypatch: pytest.MonkeyPatch) -> None:
    removals, found = mutation(monkeypatch, Mesh(unless_out(NAME, Aspect.LIMIT, "no end")), ROUTE)
    seen = await removals.without(found[NAME])
    words = "waits of GET /, which fails with stall from shop/web-v1 to shop/orders:8080: 1 s, without it no end"
    assert seen.changes == (words,)


async def test_a_part_that_matters_to_a_port_that_it_is_not_about_acts(monkeypatch: pytest.MonkeyPatch) -> None:
    def values(mesh: Mesh, cell: Cell) -> Iterable[str]:
        is_far = str(cell.stimulus.destination) == "shop/web:8080" and cell.stimulus.by_address
        return ["reset"] if is_far and NAME in mesh.now and cell.aspect is Aspect.OUTCOME else ["served"]

    removals, found = mutation(monkeypatch, Mesh(values), ROUTE)
    assert len((await removals.without(found[NAME])).changes) == 1


def by_turns(names: Sequence[str], without: Sequence[str]) -> Values:
    """The workloads behind a port answer one after the other."""

    def values(mesh: Mesh, cell: Cell) -> Iterable[str]:
        which = without if NAME in mesh.now else names
        is_routed = str(cell.stimulus.destination) == "shop/orders:8080" and cell.aspect is Aspect.WORKLOADS
        return [which[mesh.rounds % len(which)]] if is_routed else ["served"]

    return values


ROUTES = {
    # case: who answers with the part, and without it; whether the part acts
    "same": (["v1", "v2"], ["v2", "v1"], False),
    "one-more": (["v1"], ["v1", "v2"], True),
    "one-less": (["v1", "v2"], ["v1"], True),
    "rarely": (["v1", "v2"], ["v1"] * 19 + ["v2"], False),
}


@pytest.mark.parametrize("case", ROUTES)
async def test_answers_by_turns_are_no_change_and_others_who_answer_are(
    monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    names, without, acts = ROUTES[case]
    removals, found = mutation(monkeypatch, Mesh(by_turns(names, without)), ROUTE)
    seen = await removals.without(found[NAME])
    assert bool(seen.changes) is acts
    assert all(one.startswith("answered by of GET / from") for one in seen.changes)


STRICT = resource("PeerAuthentication", "all", "{selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}}")


async def test_a_policy_about_access_acts_also_where_kept_connections_show_it_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A data plane serves connections from before as before; a quiet time alone would be over by then."""
    name = "PeerAuthentication shop/all"
    monkeypatch.setattr(module, "QUIET", 0.0)
    for kept, acts in ((8, True), (40, False)):
        removals, found = mutation(
            monkeypatch, Mesh(unless_out(name, Aspect.OUTCOME, "served in plaintext"), kept), STRICT
        )
        assert bool((await removals.without(found[name])).changes) is acts


async def test_a_change_that_does_not_stay_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as that of a connection from before an earlier part came back."""
    since: list[int] = []

    def values(mesh: Mesh, cell: Cell) -> Iterable[str]:
        if NAME not in mesh.now or not cell.stimulus.by_address:
            return ["served"]
        since.append(mesh.rounds)
        return ["status 403"] if mesh.rounds < since[0] + 3 and cell.aspect is Aspect.OUTCOME else ["served"]

    removals, found = mutation(monkeypatch, Mesh(values), ROUTE)
    assert (await removals.without(found[NAME])).changes == ()


async def test_one_odd_round_is_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = {4, 7}

    def values(mesh: Mesh, cell: Cell) -> Iterable[str]:
        return ["timed-out"] if mesh.rounds in odd and cell.aspect is Aspect.OUTCOME else ["served"]

    removals, found = mutation(monkeypatch, Mesh(values), WEB)
    assert (await removals.without(found["VirtualService shop/web"])).changes == ()


async def test_what_is_not_measured_may_act_although_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    removals, found = mutation(monkeypatch, Mesh(steady), POOL)
    seen = await removals.without(found["DestinationRule shop/orders"])
    assert (seen.changes, seen.unseen) == ((), "the effect of trafficPolicy.tls.mode is not measured")


@pytest.mark.parametrize("shows_marker", [True, False])
async def test_where_a_data_plane_does_not_show_the_marker_it_takes_longer(
    monkeypatch: pytest.MonkeyPatch, *, shows_marker: bool
) -> None:
    monkeypatch.setattr(module, "QUIET_UNMARKED" if shows_marker else "QUIET", float("inf"))
    removals, found = mutation(monkeypatch, Mesh(steady, shows_marker=shows_marker), ROUTE)
    seen = await removals.without(found[NAME])
    assert seen.changes == ()
    assert seen.seconds > 0.01 * (module.QUIET if shows_marker else module.QUIET_UNMARKED)


async def test_a_change_that_comes_after_the_marker_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the wait after the marker it would be missed."""
    values, lag = unless_out(NAME, Aspect.OUTCOME, "status 503"), 6
    monkeypatch.setattr(module, "QUIET", 50.0)
    removals, found = mutation(monkeypatch, Mesh(values, lag), ROUTE)
    assert (await removals.without(found[NAME])).changes
    monkeypatch.setattr(module, "QUIET", 0.0)
    removals, found = mutation(monkeypatch, Mesh(values, lag), ROUTE)
    monkeypatch.setattr(module, "BY_CHANCE", 1)
    assert not (await removals.without(found[NAME])).changes


async def test_a_part_that_does_not_come_back_ends_the_removals(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = Mesh(unless_out(NAME, Aspect.OUTCOME, "status 503"))
    mesh.broken = True
    removals, found = mutation(monkeypatch, mesh, ROUTE, WEB)
    said = rf"{NAME} was put back, and 0 s later it does not act as before: outcome of .*: \w+ before, status 503 now"
    with pytest.raises(Inconclusive, match=said):
        await removals.without(found[NAME])
    del mesh.log[:]
    with pytest.raises(Inconclusive, match=said):
        await removals.without(found["VirtualService shop/web"])
    assert mesh.log == []


async def test_a_part_is_put_back_where_observing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def values(mesh: Mesh, _cell: Cell) -> Iterable[str]:
        if mesh.now:
            raise Inconclusive("a probe is lost")
        return ["served"]

    mesh = Mesh(values)
    removals, found = mutation(monkeypatch, mesh, ROUTE)
    with pytest.raises(Inconclusive, match="a probe is lost"):
        await removals.without(found[NAME])
    assert mesh.log == [f"out {NAME}", f"back {NAME}"]


async def test_a_run_that_is_cut_off_puts_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there goes with the trial; a resource that came back later, as in the root namespace, would stay."""

    def values(mesh: Mesh, _cell: Cell) -> Iterable[str]:
        if mesh.now:
            raise asyncio.CancelledError
        return ["served"]

    mesh = Mesh(values)
    removals, found = mutation(monkeypatch, mesh, ROUTE)
    with pytest.raises(asyncio.CancelledError):
        await removals.without(found[NAME])
    assert mesh.log == [f"out {NAME}"]


async def test_what_the_budget_does_not_cover_is_not_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = Mesh(steady)
    removals, found = mutation(monkeypatch, mesh, ROUTE, WEB, budget=0.001)
    await removals.without(found[NAME])
    with pytest.raises(Inconclusive, match=r"the 0\.001 s of --mesh-manifests-budget are used up; raise it to reach"):
        await removals.without(found["VirtualService shop/web"])
    assert len(mesh.log) == 2


async def test_what_cannot_be_observed_is_not_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = Mesh(steady)
    removals, _ = mutation(monkeypatch, mesh, resource("Telemetry", "a", "{}"))
    _, elsewhere = configured(ROUTE)
    for part, why in [(removals.around.plan.resources[0], "not measured"), (elsewhere[NAME].resource, "left out")]:
        with pytest.raises(Unsupported, match=why):
            await removals.without(Part(part, (), "", part.place))
    assert mesh.log == []


async def test_the_cheapest_come_first() -> None:
    strict = resource("PeerAuthentication", "all", "{mtls: {mode: STRICT}}")
    around, found = configured(strict, ROUTE, LEDGER)
    ordered = [str(one) for one in cheapest_first(list(found.values()), around)]
    assert ordered == ["VirtualService shop/ledger", NAME, "PeerAuthentication shop/all"]


async def test_rules_are_met_on_their_ports_and_every_port_is_called_by_all_ways() -> None:
    around, found = configured(
        resource("VirtualService", "a", "{hosts: [orders], http: [{retries: {retryOn: '500'}}]}")
    )
    sent = PartStimuli.of(found["VirtualService shop/a"], around)
    assert {str(one.destination) for one in sent.quick} == {"shop/orders:8080"}
    assert [(one.shape.method, one.failure) for one in sent.quick] == [
        ("GET", ""),
        ("GET", "503"),
        ("GET", "500"),
        ("POST", "503"),
        ("POST", "500"),
    ]
    assert [str(one.destination) for one in sent.all if one.by_address] == list(map(str, around.plan.destinations))
