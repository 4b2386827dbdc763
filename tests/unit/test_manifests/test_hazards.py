"""Hazards of a configuration, each found in what shows it, and in nothing that only resembles it."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from pytest_meshcheck.checks.access import Access, Outcome
from pytest_meshcheck.checks.effective_values import effective_values
from pytest_meshcheck.checks.own.access_hazards import one_way_access, plaintext_beside
from pytest_meshcheck.checks.own.hazard import Hazard
from pytest_meshcheck.checks.own.limit_hazards import Retried, outlasted_limit, unfired_retries, unlimited_retries
from pytest_meshcheck.checks.own.traffic_hazards import MANY, injected_delay, injected_fault, mirrored_requests
from pytest_meshcheck.checks.port_effects import Arrival, Call, PortEffects
from pytest_meshcheck.model.observation import Answered
from pytest_meshcheck.probe.protocol.messages import Attempt, Ending, Exchange, Protocol

PORT = "shop/orders:80"
WHERE = ("VirtualService shop/orders (k8s.yaml:3): spec.http[0]",)
TOLERANCE = 1.0


def arrival(at: float = 0.0, stand_in: str = "shop/orders", *, answered: float | None = 0.0) -> Arrival:
    moment = None if answered is None else at + answered
    attempt = Attempt(
        request_id="r",
        number=1,
        instance=stand_in,
        port="http",
        protocol=Protocol.HTTP1,
        arrived=at,
        answered=moment,
        wall=0.0,
    )
    return Arrival(stand_in, attempt)


def call(
    form: str = "",
    *arrivals: Arrival,
    failure: str = "",
    method: str = "GET",
    caller: str = "shop/web",
    seconds: float = 0.01,
    **fields: Any,
) -> Call:
    """A request; one that the caller gave up has the form ``timed-out``."""
    ending = Ending.TIMED_OUT if form == "timed-out" else Ending.ANSWERED
    headers = fields.pop("headers", ())
    exchange = Exchange(
        request_id="r",
        protocol=Protocol.HTTP1,
        ending=ending,
        started=0.0,
        ended=seconds,
        wall=0.0,
        headers=headers,
    )
    shape = fields.pop("shape", f"{method} /")
    return Call(caller, method, failure, exchange, form, arrivals, shape, in_time=len(arrivals), **fields)


def seen(*calls: Call, **fields: Any) -> PortEffects:
    given: dict[str, Any] = {"access": (), "identities": {}, "idle": {}, "patience": 16.0, "since": 0.0}
    return PortEffects(PORT, Protocol.HTTP1, frozenset({"shop/orders"}), calls=calls, **{**given, **fields})


def served(number: int = 2, **fields: Any) -> list[Call]:
    return [call("", arrival(), **fields)] * number


def stalled(limit: float | None, *arrivals: float, method: str = "GET", **fields: Any) -> Call:
    """A request to a service that stalls, ended after a limit; None: the caller gave up."""
    form, seconds = ("timed-out", 16.0) if limit is None else ("status 504", limit)
    attempts = (arrival(at, answered=None) for at in arrivals)
    return call(form, *attempts, failure="stall", seconds=seconds, method=method, **fields)


def failed(attempts: int, failure: str = "503", **fields: Any) -> Call:
    return call("status 503", *[arrival()] * attempts, failure=failure, **fields)


def faults(configured: bool) -> Callable[[PortEffects], Hazard]:
    return lambda effects: injected_fault(effects, WHERE if configured else ())


def delays(effects: PortEffects) -> Hazard:
    return injected_delay(effects, WHERE, TOLERANCE)


def mirrors(effects: PortEffects) -> Hazard:
    return mirrored_requests(effects, WHERE)


def limits(each: float | None = None) -> Callable[[PortEffects], Hazard]:
    return lambda effects: outlasted_limit(effects, WHERE, each)


def unlimited(effects: PortEffects) -> Hazard:
    return unlimited_retries(effects, WHERE)


def retries(*failures: str, **fields: Any) -> Callable[[PortEffects], Hazard]:
    return lambda effects: unfired_retries(effects, [Retried(WHERE[0], frozenset(failures), **fields)])


ABORTED, DENIED = call("status 500"), call("status 403")
COPY = call("", arrival(), arrival(stand_in="shop/audit"))
FOUND: dict[str, tuple[Callable[[PortEffects], Hazard], Sequence[Call], str]] = {
    # case: the hazard, what was seen, what is said
    "abort-by-chance": (
        faults(False),
        [*served(), ABORTED, ABORTED],
        "2 of 4 GET / from shop/web ended with status 500, and it never saw them",
    ),
    "abort-of-all": (
        faults(False),
        [ABORTED] * 2,
        "2 of 2 GET / from shop/web ended with status 500, and it never saw them",
    ),
    "abort-with-an-answer-of-the-mesh": (
        faults(True),
        [call("status 503")] * 2,
        f"2 of 2 GET / from shop/web ended with status 503, and it never saw them (see {WHERE[0]})",
    ),
    "delay-beyond-patience": (
        faults(True),
        [call("timed-out")] * 2,
        f"2 of 2 GET / from shop/web ended with timed-out, and it never saw them (see {WHERE[0]})",
    ),
    "behind-a-condition": (
        faults(False),
        [*served(), *[call("status 500", shape="GET /pay with end-user: jason")] * 2],
        "2 of 2 GET /pay with end-user: jason from shop/web ended with status 500, and it never saw them",
    ),
    "for-several-callers": (
        faults(False),
        [*served(), ABORTED, call("status 500", caller="shop/cart"), call("status 500", caller="shop/job")],
        "3 of 5 GET / from shop/web and 2 more callers ended with status 500, and it never saw them",
    ),
    "delay": (
        delays,
        served(seconds=2.01),
        f"2 of 2 GET / from shop/web took 2.0 s, 0.0 s of it there (see {WHERE[0]})",
    ),
    "delay-that-nothing-configures": (
        lambda effects: injected_delay(effects, (), TOLERANCE),
        [*served(8), *served(2, seconds=3.02)],
        "2 of 10 GET / from shop/web took 3.0 s, 0.0 s of it there",
    ),
    "mirror": (mirrors, [COPY] * 2, f"2 of 2 GET / from shop/web arrived at shop/audit as well (see {WHERE[0]})"),
    "mirror-to-the-same-service": (
        mirrors,
        [call("", arrival(), arrival())] * 2,
        f"2 of 2 GET / from shop/web arrived at shop/orders as well (see {WHERE[0]})",
    ),
    "too-short-a-limit": (
        limits(),
        [failed(4), stalled(4.0, 0.0, 1.5, 3.0)],
        "GET from shop/web is ended after 4.0 s, with 3 of 4 attempts begun: "
        f"each takes 1.5 s, all of them 6.0 s (see {WHERE[0]})",
    ),
    "limit-below-that-of-one-attempt": (
        limits(3.0),
        [failed(3), stalled(2.0, 0.0)],
        "GET from shop/web is ended after 2.0 s, with 1 of 3 attempts begun: "
        f"each may take 3.0 s, all of them 9.0 s (see {WHERE[0]})",
    ),
    "service-goes-on": (
        limits(),
        [failed(1), stalled(2.0, 0.0, unended=1)],
        f"GET from shop/web is ended after 2.0 s, and the service goes on with 1 attempt (see {WHERE[0]})",
    ),
    "no-limit-beside-retries": (
        unlimited,
        [failed(3), stalled(None, 0.0)],
        "GET from shop/web is tried 3 times if it fails, and waited for 16 s when the service stalled "
        f"(see {WHERE[0]})",
    ),
    "retries-that-never-fire": (
        retries("503", "reset"),
        [failed(1), failed(1, "reset")],
        f"2 requests that failed with 503 and reset were executed once each (see {WHERE[0]})",
    ),
    "retries-of-calls-that-never-fire": (
        retries("unavailable"),
        [failed(1, "unavailable", method="call"), failed(2, "reset", method="call")],
        f"1 requests that failed with unavailable were executed once each (see {WHERE[0]})",
    ),
    "retries-beside-a-fault": (
        retries("503", beside_fault=True),
        [ABORTED] * 2,
        f"a fault in the same rule ends each request first, which no retry repeats (see {WHERE[0]})",
    ),
}


@pytest.mark.parametrize("case", FOUND)
def test_a_hazard_is_found_and_named(case: str) -> None:
    hazard, calls, said = FOUND[case]
    assert str(hazard(seen(*calls))) == said
    assert hazard(seen(*calls)).request_id == "r"


def test_attempts_that_begin_after_the_end_are_counted_by_order() -> None:
    late = stalled(2.0, 0.0)
    effects = seen(failed(1), Call(**{**vars(late), "in_time": 0}))
    assert outlasted_limit(effects, (), None).found == (
        "GET from shop/web is ended after 2.0 s, and 1 attempt began after that",
    )


def test_a_stall_explains_only_that_a_service_goes_on() -> None:
    assert outlasted_limit(seen(failed(1), stalled(2.0, 0.0, unended=1)), (), None).rests_on is not None
    assert outlasted_limit(seen(failed(4), stalled(4.0, 0.0, 1.5)), (), None).rests_on is None


ABSENT: dict[str, tuple[Callable[[PortEffects], Hazard], Sequence[Call]]] = {
    # case: the hazard, what only resembles it
    "served": (faults(True), served(10)),
    "denied": (faults(True), [DENIED] * 10),
    "denied-by-chance": (faults(False), [*served(5), *[DENIED] * 5]),
    "rate-limit": (faults(True), [*served(5), *[call("status 429")] * 5]),
    "no-route-without-a-condition": (
        faults(False),
        [*[call("status 404")] * 5, *served(5, shape="GET /pay")],
    ),
    "no-endpoint-behind-a-condition": (faults(False), [*served(5), *[call("status 503", shape="GET /pay")] * 5]),
    "given-up": (faults(False), [*served(5), *[call("timed-out")] * 5]),
    "redirected": (faults(True), [call("status 301")] * 10),
    "no-route": (faults(False), [call("status 404")] * 10),
    "no-endpoint": (faults(False), [call("status 503")] * 10),
    "a-connection-that-was-just-closed": (faults(False), [*served(9), call("status 503")]),
    "circuit-breaker": (
        faults(False),
        [*served(5), *[call("status 503", headers=(("x-envoy-overloaded", "true"),))] * 5],
    ),
    "failed-by-the-service": (faults(True), [call("status 500", arrival())] * 2),
    "fast": (delays, served(10)),
    "slow-service": (delays, [call("", arrival(answered=5.0), seconds=5.0)] * 10),
    "slow-machine": (lambda effects: injected_delay(effects, (), TOLERANCE), served(10, seconds=2.9)),
    "slow-now-and-then": (
        lambda effects: injected_delay(effects, (), TOLERANCE),
        [*served(9), *served(2, seconds=4.0)],
    ),
    "slow-once": (delays, [*served(9), *served(1, seconds=5.0)]),
    "routed-elsewhere": (mirrors, [call("", arrival(stand_in="shop/canary"))] * 10),
    "retried-after-a-closed-connection": (mirrors, [*served(9), COPY]),
    "time-for-all": (limits(), [failed(3), stalled(6.0, 0.0, 2.02, 4.05)]),
    "time-for-all-but-on-a-busy-machine": (
        limits(),
        [failed(3), stalled(6.1, 0.0, 2.9, 5.0), stalled(6.0, 0.0, 2.0, 4.0, method="POST"), failed(3, method="POST")],
    ),
    "no-limit": (limits(), [failed(3), stalled(None, 0.0)]),
    "retries-of-fast-failures-alone": (limits(), [failed(3), stalled(2.0, 0.0)]),
    "never-arrived": (limits(1.0), [failed(3), call("status 503", failure="stall")]),
    "limited": (unlimited, [failed(3), stalled(5.0, 0.0)]),
    "limited-for-each-attempt": (unlimited, [failed(3), stalled(None, 0.0, 3.0, 6.0)]),
    "not-retried": (unlimited, [failed(1), stalled(None, 0.0)]),
    "retries-by-default": (lambda effects: unlimited_retries(effects, ()), [failed(3), stalled(None, 0.0)]),
    "retries-that-fire": (retries("503", "reset"), [failed(3), failed(1, "reset")]),
    "retries-of-other-failures": (retries(), [failed(1)]),
    "retries-of-calls": (
        retries("503", "unavailable"),
        [failed(3, "unavailable", method="call"), failed(1, "reset", method="call")],
    ),
    "retries-of-what-never-arrives": (retries("503"), [call("status 403", failure="503")]),
    "retries-beside-a-fault-by-chance": (retries("503", beside_fault=True), [*served(), ABORTED, failed(3)]),
    "retries-of-safe-methods": (retries("503"), [failed(3), failed(1, method="POST")]),
}


@pytest.mark.parametrize("case", ABSENT)
def test_what_resembles_a_hazard_is_none(case: str) -> None:
    hazard, calls = ABSENT[case]
    assert hazard(seen(*calls)) == Hazard()


@pytest.mark.parametrize(("seconds", "lost"), [(2.0, 2.0), (7.0, 7.0)])
def test_a_stall_explains_delays_if_it_lasts_half_as_long_as_all_of_one_caller(seconds: float, lost: float) -> None:
    others = served(1, seconds=seconds, caller="shop/cart")
    rests_on = delays(seen(*served(2, seconds=seconds), *others)).rests_on
    assert rests_on is not None
    assert (rests_on.lost, rests_on.during) == (lost, 2 * seconds)


def test_no_stall_explains_many_equal_delays() -> None:
    assert delays(seen(*served(MANY, seconds=2.05))).rests_on is None
    assert delays(seen(*served(MANY, seconds=1.5))).rests_on is not None, "about as long as a machine pauses"
    uneven = [*served(MANY, seconds=2.0), *served(1, seconds=3.0)]
    assert delays(seen(*uneven)).rests_on is not None


def entry(caller: str, **fields: Any) -> Access:
    given = {"destination": PORT, "caller": caller, "enrolled": caller != "outsider"}
    return Access(**{**given, "outcome": Outcome.SERVED, "arrived": True, **fields})


def refused(caller: str, **fields: Any) -> Access:
    return entry(caller, **{"outcome": Outcome.REFUSED, "form": "status 403", "arrived": False, **fields})


def ways(by_name: Callable[..., Access], by_address: Callable[..., Access], caller: str) -> list[Access]:
    return [by_name(caller), *(by_address(caller, address_of=pod) for pod in ("shop/orders", "shop/orders-v2"))]


ONE_WAY = {
    # case: the access, what is said
    "by-address-alone": (
        ways(refused, entry, "shop/web"),
        "shop/web: refused by name (status 403), and served by the addresses of the pods",
    ),
    "outsider-by-name-alone": (
        ways(entry, refused, "outsider"),
        "outsider: served by name, and refused by the addresses of the pods (status 403)",
    ),
    "to-itself": ([refused("shop/orders"), entry("shop/orders", address_of="shop/orders")], ""),
    "by-name-alone-in-the-mesh": (ways(entry, refused, "shop/web"), ""),
    "both": (ways(entry, entry, "outsider"), ""),
    "neither": (ways(refused, refused, "shop/web"), ""),
    "some-pods": ([*ways(refused, entry, "shop/web")[:2], refused("shop/web", address_of="shop/orders-v2")], ""),
    "no-pod": ([refused("shop/web")], ""),
}


@pytest.mark.parametrize("case", ONE_WAY)
def test_access_that_depends_on_the_host_is_found(case: str) -> None:
    access, said = ONE_WAY[case]
    assert "; ".join(one_way_access(access, ()).found) == said


def test_a_stall_explains_a_refusal_without_an_answer() -> None:
    silent = [refused("shop/web", form="timed-out"), entry("shop/web", address_of="shop/orders")]
    assert one_way_access(silent, ()).rests_on is not None
    assert one_way_access(ways(refused, entry, "shop/web"), ()).rests_on is None


def elsewhere(*entries: Access) -> list[Access]:
    return [msgspec.structs.replace(one, destination="shop/cart:80") for one in entries]


def turned_away(form: str = "reset") -> Access:
    return refused("outsider", form=form)


BESIDE = {
    # case: who reaches the port, who reaches another one of the namespace, whether it is a hazard
    "permissive-beside-strict": ([entry("outsider")], elsewhere(turned_away(), entry("shop/web")), True),
    "in-several-forms": ([entry("outsider")], elsewhere(turned_away("reset or status 401"), entry("shop/web")), True),
    "strict-both": ([turned_away()], elsewhere(turned_away(), entry("shop/web")), False),
    "permissive-both": ([entry("outsider")], elsewhere(entry("outsider"), entry("shop/web")), False),
    "closed-to-all": ([entry("outsider")], elsewhere(turned_away(), refused("shop/web")), False),
    "denied-by-a-policy": ([entry("outsider")], elsewhere(turned_away("status 403"), entry("shop/web")), False),
    "open-by-address": (
        [entry("outsider")],
        elsewhere(turned_away(), entry("outsider", address_of="shop/cart"), entry("shop/web")),
        False,
    ),
    "alone": ([entry("outsider")], [], False),
}


@pytest.mark.parametrize("case", BESIDE)
def test_plaintext_beside_ports_that_refuse_it_is_found(case: str) -> None:
    here, around, is_hazard = BESIDE[case]
    found = plaintext_beside(here, around, {Ending.RESET, Answered(401)}, WHERE).found
    assert found == (("it serves outsider in plaintext, unlike shop/cart:80",) if is_hazard else ())


def test_callers_with_equal_values_are_one_entry() -> None:
    calls = [
        one
        for caller, limit in (("shop/web", 2.0), ("shop/cart", 2.2), ("shop/batch", 9.0))
        for one in (failed(3, caller=caller), stalled(limit, 0.0, caller=caller))
    ]
    both, batch = effective_values(seen(*calls, identities={"shop/web": "spiffe://a/web"}))
    assert (both.callers, batch.callers) == (("shop/web", "shop/cart"), ("shop/batch",))
    assert both.limits == {"GET": 2.0}
    assert both.attempts == {"GET": {"503": 3, "stall": 1}}
    assert both.identities == ("spiffe://a/web", "")


def test_copies_for_a_mirror_are_no_attempts() -> None:
    mirrored = call("status 503", arrival(), arrival(stand_in="shop/audit"), failure="503")
    (values,) = effective_values(seen(mirrored, stalled(None, 0.0)))
    assert values.attempts["GET"] == {"503": 1, "stall": 1}
    assert values.limits == {}
