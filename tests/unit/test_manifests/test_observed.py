"""What a trial observes, with real probes and without a mesh."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from itertools import chain, count, cycle, repeat
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import pytest_asyncio

from pytest_meshcheck.checks.access import Outcome
from pytest_meshcheck.checks.own.expected_access import ExpectedAccess
from pytest_meshcheck.checks.port_effects import Shape
from pytest_meshcheck.checks.verdict import Violation
from pytest_meshcheck.configuration.own.test_expected import test_access_is_as_expected as access_is_as_expected
from pytest_meshcheck.manifests.mutation.stimuli import Stimuli
from pytest_meshcheck.manifests.plan import Configured, Plan, plan
from pytest_meshcheck.manifests.reading import Text, objects_in
from pytest_meshcheck.model.errors import Inconclusive, Unsupported
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Enrolment, Port, Via, WorkloadSpec
from pytest_meshcheck.platforms.base import Metadata
from pytest_meshcheck.platforms.local.platform import Processes
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.testbed.trial import access as observed
from pytest_meshcheck.testbed.trial.access import access, answers_itself, settle
from pytest_meshcheck.testbed.trial.behaviour import (
    STALL,
    Aspect,
    Round,
    Stimulus,
    observed as observed_once,
    passed,
)
from pytest_meshcheck.testbed.trial.executions import Sent, calls_of, executions
from pytest_meshcheck.testbed.trial.stand_ins import Caller, StandIns
from pytest_meshcheck.testbed.trial.trial import Trial
from pytest_meshcheck.testbed.trial.ways import way_by_name
from tests.unit.test_manifests.test_checks import Mesh

pytestmark = pytest.mark.asyncio

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop, labels: {app: web}}\nspec: {containers: []}\n"
SERVICE = """---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  ports: [{name: http, port: HTTP}, {name: grpc, port: GRPC}, {name: tcp, port: TCP}]
"""
PORTS = (Port("http", m.Protocol.HTTP1), Port("grpc", m.Protocol.GRPC), Port("tcp", m.Protocol.TCP))


class LocalTrial(Trial):
    """The stand-ins of a plan as local processes, where every service has the address of its only pod."""

    def __init__(self, made: Plan, web: Workload, callers: list[Caller]) -> None:
        self.plan, self.web, self.those, self.scale = made, web, callers, 0.02
        self.replicas, self.addresses = {"shop/web": [web]}, {("shop", "web"): ""}

    def place_of(self, plain: str) -> str:
        return plain

    def callers(self) -> list[Caller]:
        return self.those

    def pod_address(self, workload: Workload) -> str:
        return workload.resolve(workload.spec, workload.spec, "http", Via.SERVICE)[0]


@pytest_asyncio.fixture
async def trial(tmp_path: Path) -> AsyncIterator[LocalTrial]:
    platform = Processes(Journal(), tmp_path)
    outside = Enrolment.UNENROLLED
    specs = (WorkloadSpec("shop", "web", outside, ports=PORTS), WorkloadSpec("grey", "outsider", outside))
    web, outsider = await asyncio.gather(*(platform.start(spec, Metadata()) for spec in specs))
    numbers = [web.resolve(web.spec, web.spec, port.name, Via.SERVICE)[1] for port in PORTS]
    web.spec = replace(
        web.spec, ports=tuple(replace(port, number=number) for port, number in zip(PORTS, numbers, strict=True))
    )
    text = POD + SERVICE
    for name, number in zip(("HTTP", "GRPC", "TCP"), numbers, strict=True):
        text = text.replace(name, str(number))
    made = plan(objects_in([Text("a.yaml", text)]), Configured("none", ()))
    yield LocalTrial(made, web, [Caller("web", web, enrolled=True), Caller("outsider", outsider, enrolled=False)])
    await platform.close()


async def test_who_is_served_is_seen_by_name_and_by_address_on_every_protocol(trial: LocalTrial) -> None:
    for destination in trial.plan.destinations:
        seen = await access(trial, destination)
        assert [(one.caller, one.address_of) for one in seen] == [
            ("web", ""),
            ("web", "shop/web"),
            ("outsider", ""),
            ("outsider", "shop/web"),
        ]
        assert {(one.outcome, one.form, one.arrived) for one in seen} == {(Outcome.SERVED, "", True)}
        assert [one.plaintext for one in seen] == [False, False, True, True]


async def test_a_closed_port_is_refused_and_nothing_arrives(trial: LocalTrial) -> None:
    http = trial.plan.destinations[0]
    async with trial.web.closed("http"):
        seen = await access(trial, http)
        assert {(one.outcome, one.form, one.arrived) for one in seen} == {(Outcome.REFUSED, "connect-refused", False)}
        with pytest.raises(Inconclusive, match="no workload of the mesh is served by shop/web:"):
            await executions(trial, http, Sent("POST"), m.Answer(status=503))


async def test_a_stand_in_answers_itself(trial: LocalTrial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observed, "LOOPBACK", trial.pod_address(trial.web))
    for destination in trial.plan.destinations:
        ((name, exchange),) = await answers_itself(trial, destination)
        assert (name, exchange.ending) == ("shop/web", m.Ending.ANSWERED)


async def test_what_nobody_repeats_is_executed_once(trial: LocalTrial) -> None:
    http, grpc, _ = trial.plan.destinations
    (sent,) = await executions(trial, http, Sent("POST"), m.Answer(status=503))
    assert (sent.caller, sent.exchange.status, len(sent.attempts)) == ("web", 503, 1)
    assert [one.method for one in sent.attempts] == ["POST"]
    with pytest.raises(Unsupported, match="speaks grpc, which has no POST"):
        await executions(trial, grpc, Sent("POST"), m.Answer())


async def test_what_is_expected_is_compared_with_what_real_probes_see(
    trial: LocalTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observed, "LOOPBACK", trial.pod_address(trial.web))
    for port in map(str, trial.plan.destinations):
        everybody, web = (ExpectedAccess(port, frozenset(names)) for names in ({"web", "outsider"}, {"web"}))
        await access_is_as_expected(mesh=Mesh(), mesh_trial=trial, expected_access=everybody)
        with pytest.raises(Violation, match="nobody else to get in, but outsider by name, in plaintext: served; outs"):
            await access_is_as_expected(mesh=Mesh(), mesh_trial=trial, expected_access=web)


async def test_who_is_expected_and_refused_violates(trial: LocalTrial, monkeypatch: pytest.MonkeyPatch) -> None:
    async def itself(_trial: object, _destination: object) -> list[object]:
        return []

    monkeypatch.setattr("pytest_meshcheck.testbed.trial.trial.answers_itself", itself)
    http = str(trial.plan.destinations[0])
    async with trial.web.closed("http"):
        with pytest.raises(Violation, match="served by name, but web by name: refused"):
            await access_is_as_expected(
                mesh=Mesh(), mesh_trial=trial, expected_access=ExpectedAccess(http, frozenset({"web"}))
            )


async def test_a_request_is_sent_with_its_method_and_path_and_waits_as_long_as_it_may(trial: LocalTrial) -> None:
    http = trial.plan.destinations[0]
    silent = m.Answer(behaviour=m.Behaviour.STALL)
    (sent,) = await executions(trial, http, Sent("GET", "/pay", patience=0.3), silent)
    assert [(one.method, one.path, one.body_length) for one in sent.attempts] == [("GET", "/pay", 0)]
    assert sent.exchange.ending is m.Ending.TIMED_OUT
    assert 0.3 <= sent.exchange.seconds < 3


NOBODY = "no port of HTTP in the mesh lets shop/web in"


async def test_each_port_that_lets_a_caller_in_sees_one_call(trial: LocalTrial) -> None:
    trial.those = [replace(one, name="shop/web") for one in trial.those if one.enrolled]
    assert len(await calls_of(trial, "shop/web")) == 2  # TCP tells nothing of a caller
    trial.plan = replace(trial.plan, destinations=trial.plan.destinations[:1])
    async with trial.web.closed("http"):
        with pytest.raises(Inconclusive, match=NOBODY):
            await calls_of(trial, "shop/web")


async def test_a_service_outside_of_the_mesh_is_told_no_identity(trial: LocalTrial) -> None:
    trial.those = [replace(one, name="shop/web", enrolled=False) for one in trial.those if one.enrolled]
    with pytest.raises(Inconclusive, match=NOBODY):
        await calls_of(trial, "shop/web")


@pytest.fixture
def settling(monkeypatch: pytest.MonkeyPatch) -> Callable[[Iterator[str]], Awaitable[int]]:
    """Waits for a trial whose rounds of requests, of a second each, see this; returns the number of rounds."""

    async def settled(rounds: Iterator[str]) -> int:
        seen: list[str] = []

        async def by_name(_trial: object) -> set[str]:
            seen.append(next(rounds))
            return {seen[-1]}

        monkeypatch.setattr(observed, "_by_name", by_name)
        monkeypatch.setattr(observed, "time", SimpleNamespace(monotonic=lambda: float(len(seen))))
        await settle(cast("StandIns", type("Scaled", (), {"scale": 1.0})()))
        return len(seen)

    monkeypatch.setattr(observed, "PAUSE", 0.0)
    return settled


async def test_a_change_is_waited_out(settling: Callable[[Iterator[str]], Awaitable[int]]) -> None:
    assert await settling(chain(repeat("refused", 4), repeat("served"))) == 5 + observed.QUIET


async def test_what_comes_and_goes_is_no_change(settling: Callable[[Iterator[str]], Awaitable[int]]) -> None:
    assert await settling(cycle(["served", "status 500"])) == 2 + observed.QUIET


async def test_what_keeps_changing_is_not_waited_for(settling: Callable[[Iterator[str]], Awaitable[int]]) -> None:
    assert await settling(map(str, count())) == observed.SETTLED_WITHIN


SERVED, REFUSED = observed.Seen("", arrived=True), observed.Seen("status 500", arrived=False)
CHANCE = {
    # what a caller meets: what its access is
    (REFUSED, SERVED, REFUSED): (Outcome.VARIES, "status 500", True),
    (REFUSED, SERVED, SERVED): (Outcome.SERVED, "", True),
    (SERVED, REFUSED, REFUSED): (Outcome.REFUSED, "status 500", False),
}


@pytest.mark.parametrize("met", CHANCE)
async def test_who_meets_chance_is_told_from_who_is_refused(
    met: tuple[observed.Seen, ...], trial: LocalTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, port = iter(met), trial.plan.destinations[0]
    way = way_by_name(trial, port, trial.those[0])

    async def of_one_caller(*_: object) -> list[observed.Seen]:
        return [next(rounds)]

    monkeypatch.setattr(observed, "ways_to", lambda *_: [way])
    monkeypatch.setattr(observed, "_round", of_one_caller)
    monkeypatch.setattr(observed, "SETTLED_WITHIN", 1000.0)
    (seen,) = await access(trial, port)
    assert (seen.outcome, seen.form, seen.arrived) == CHANCE[met]
    assert not list(rounds)


def cells(seen: Round, aspect: Aspect) -> dict[tuple[str, str], set[str]]:
    """The values of an aspect by caller and kind of request."""
    return {(cell.caller, str(cell.stimulus)): set(values) for cell, values in seen.items() if cell.aspect is aspect}


KNOWN = Stimuli(shapes=(Shape(),), failures=("503",), limits=(0.5,), delays=(2.0,), by_chance=False)


async def test_a_request_is_observed_at_both_ends(trial: LocalTrial) -> None:
    http = trial.plan.destinations[0]
    asked = Shape("PUT", "/pay", (("end-user", "jason"),))
    seen = await observed_once(trial, [Stimulus(http, asked)], KNOWN)
    words = "PUT /pay with end-user: jason"
    assert cells(seen, Aspect.OUTCOME) == {("web", words): {"served"}, ("outsider", words): {"served"}}
    assert cells(seen, Aspect.WORKLOADS)["web", words] == {"shop/web"}
    assert cells(seen, Aspect.PATH)["web", words] == {"/pay"}
    assert cells(seen, Aspect.ATTEMPTS)["web", words] == {"1"}
    assert cells(seen, Aspect.DELAY)["web", words] == {"less than 2 s"}
    (names,) = cells(seen, Aspect.HEADERS)["web", words]
    assert {"end-user", "host", "content-length"} <= set(names.split())


async def test_a_service_fails_for_each_caller_of_the_mesh(trial: LocalTrial) -> None:
    http = trial.plan.destinations[0]
    failures = ("503", "reset", STALL)
    seen = await observed_once(trial, [Stimulus(http, Shape(), one) for one in failures], KNOWN)
    assert {cell.caller for cell in seen} == {"web"}
    assert cells(seen, Aspect.OUTCOME) == {
        ("web", "GET /, which fails with 503"): {"status 503"},
        ("web", "GET /, which fails with reset"): {"reset"},
    }
    assert cells(seen, Aspect.LIMIT) == {("web", "GET /, which fails with stall"): {"no end"}}
    assert set(map(tuple, cells(seen, Aspect.ATTEMPTS).values())) == {("1",)}


async def test_every_protocol_and_every_way_is_observed(trial: LocalTrial) -> None:
    seen = await observed_once(
        trial, [Stimulus(one, Shape(), by_address=True) for one in trial.plan.destinations], KNOWN
    )
    answered = {cell: values for cell, values in seen.items() if cell.aspect is Aspect.WORKLOADS}
    assert {tuple(values) for values in answered.values()} == {("shop/web",)}
    assert {(cell.caller, cell.address_of) for cell in answered} == {
        (caller, of) for caller in ("web", "outsider") for of in ("", "shop/web")
    }
    assert len({cell.stimulus.destination for cell in answered}) == 3


async def test_nobody_answers_at_a_closed_port(trial: LocalTrial) -> None:
    async with trial.web.closed("http"):
        seen = await observed_once(trial, [Stimulus(trial.plan.destinations[0], Shape())], KNOWN)
    assert cells(seen, Aspect.OUTCOME)["web", "GET /"] == {"connect-refused"}
    assert cells(seen, Aspect.WORKLOADS)["web", "GET /"] == {"nobody"}


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.1, "less than 2 s"), (1.8, "2 s"), (2.9, "2 s"), (4.75, "5 s"), (9.0, "5 s")]
)
async def test_a_time_is_that_of_the_longest_limit_that_has_passed(seconds: float, words: str) -> None:
    assert passed(seconds, (2.0, 5.0)) == words


async def test_a_workload_that_may_reach_itself_sees_headers_by_chance(trial: LocalTrial) -> None:
    trial.those = [Caller("shop/web", trial.web, enrolled=True)]
    port = trial.plan.destinations[0]
    ((backend, number),) = port.backends
    twice = replace(port, backends=((replace(backend, replicas=2), number),))
    seen = {
        one: {cell.aspect for cell in await observed_once(trial, [Stimulus(one, Shape())], KNOWN)}
        for one in (port, twice)
    }
    assert seen[port] - seen[twice] == {Aspect.HEADERS, Aspect.ANSWER_HEADERS}
    assert Aspect.PATH in seen[twice]
