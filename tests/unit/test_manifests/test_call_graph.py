"""Chains of calls: who calls whom, and where several calls follow each other."""

from collections.abc import Mapping
from typing import Any

import pytest

from pytest_meshcheck.checks.access import Access, Outcome
from pytest_meshcheck.checks.own.chain_hazards import ChainCall, Hop, multiplied_retries
from pytest_meshcheck.checks.own.expected_access import ExpectedAccess
from pytest_meshcheck.manifests.call_graph import Chain, calls, chains
from pytest_meshcheck.manifests.expectations.expected import Expected
from pytest_meshcheck.manifests.plan import Configured, plan
from pytest_meshcheck.manifests.reading import Text, objects_in
from pytest_meshcheck.manifests.services import Destination


def _manifest(name: str) -> str:
    about = f"metadata: {{name: {name}, namespace: shop, labels: {{app: {name}}}}}"
    spec = f"spec: {{selector: {{app: {name}}}, ports: [{{port: 80, name: http}}]}}"
    return f"apiVersion: v1\nkind: Pod\n{about}\nspec: {{}}\n---\napiVersion: v1\nkind: Service\n{about}\n{spec}\n"


PORTS: Mapping[str, Destination] = {
    one.service: one
    for one in plan(
        objects_in([Text("a.yaml", "---\n".join(map(_manifest, "abcde")))]), Configured("none", ())
    ).destinations
}


def between(*edges: str) -> dict[str, set[str]]:
    """Who calls whom: ``ab`` means that shop/a calls the port of shop/b."""
    found: dict[str, set[str]] = {}
    for caller, called in edges:
        found.setdefault(f"shop/{caller}", set()).add(str(PORTS[called]))
    return found


CHAINS = {
    # case: who calls whom, the chains that end at c, each as the workloads in it
    "two-calls": (("ab", "bc"), ["abc"]),
    "as-long-as-it-gets": (("ab", "bc", "da"), ["dabc"]),
    "several": (("ab", "db", "bc"), ["abc", "dbc"]),
    "longest-first": (("ab", "ea", "bc", "dc", "ad"), ["eabc", "eadc"]),
    "one-call": (("bc",), []),
    "elsewhere": (("ab", "ad"), []),
    "circle": (("ab", "bc", "ca"), ["abc"]),
    "itself": (("ab", "bb", "bc"), ["abc"]),
    "nobody": ((), []),
}


@pytest.mark.parametrize("case", CHAINS)
def test_the_chains_to_a_port(case: str) -> None:
    edges, expected = CHAINS[case]
    found = chains(list(PORTS.values()), between(*edges), PORTS["c"])
    assert [one.first[-1] + "".join(port.service for port in one.ports) for one in found] == expected


def test_a_chain_is_no_longer_than_four_calls() -> None:
    (found,) = chains(list(PORTS.values()), between("ab", "bc", "cd", "de", "ea"), PORTS["a"])
    assert str(found) == "shop/b > shop/c:80 > shop/d:80 > shop/e:80 > shop/a:80"


def entry(caller: str, outcome: Outcome = Outcome.SERVED, **fields: Any) -> Access:
    given = {"destination": "shop/b:80", "caller": caller, "enrolled": caller != "outsider", "outcome": outcome}
    return Access(**{**given, **fields})


OPEN = [entry("shop/a"), entry("shop/d"), entry("stranger"), entry("outsider", Outcome.REFUSED)]
POLICY = [entry("shop/a"), entry("shop/d", Outcome.REFUSED), entry("stranger", Outcome.REFUSED), entry("outsider")]
CALLS = {
    # case: expectations, observed access, callers of shop/b
    "policy": (Expected(), POLICY, {"shop/a"}),
    "open": (Expected(), OPEN, set()),
    "by-address": (Expected(), [entry("shop/a"), entry("shop/d", Outcome.REFUSED, address_of="shop/b")], set()),
    "expected": (
        Expected(access={"shop/b:80": ExpectedAccess("shop/b:80", frozenset({"shop/d", "stranger"}))}),
        OPEN,
        {"shop/d"},
    ),
    "said": (Expected(calls={"shop/e": frozenset({"shop/b:80"})}), POLICY, {"shop/e"}),
}


@pytest.mark.parametrize("case", CALLS)
def test_who_calls_is_said_or_listed_or_seen_in_policies(case: str) -> None:
    expected, seen, callers = CALLS[case]
    assert {caller for caller, ports in calls(expected, seen).items() if "shop/b:80" in ports} == callers


def call(*attempts: int) -> ChainCall:
    hops = tuple(Hop(f"shop/{name}:80", number) for name, number in zip("bcd", attempts, strict=False))
    return ChainCall("shop/a", "GET", "503", hops, "id")


MULTIPLIES = {
    # attempts at each port: whether retries multiply
    (3, 9): True,
    (3, 3): False,
    (1, 3): False,
    (1, 1, 3): False,
    (2, 2, 4): True,
    (1, 2, 4): True,
    (3, 0): False,
}


@pytest.mark.parametrize("attempts", MULTIPLIES)
def test_retries_multiply_where_two_calls_of_a_chain_are_repeated(attempts: tuple[int, ...]) -> None:
    assert bool(multiplied_retries([call(*attempts)], ["k8s.yaml:3"]).found) is MULTIPLIES[attempts]


def test_retries_that_nobody_configures_are_no_hazard_of_a_users() -> None:
    assert not multiplied_retries([call(3, 9)], []).found


def test_a_multiplied_request_is_said_from_call_to_call() -> None:
    hazard = multiplied_retries([call(2, 6)], ["k8s.yaml:3"])
    said = "1 GET from shop/a arrives twice at shop/b:80 and 6 times at shop/c:80, which fails with 503"
    assert (str(hazard), hazard.request_id) == (f"{said} (see k8s.yaml:3)", "id")


def test_a_chain_is_said_in_its_order() -> None:
    assert str(Chain("shop/a", (PORTS["b"], PORTS["c"]))) == "shop/a > shop/b:80 > shop/c:80"
