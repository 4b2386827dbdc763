"""Who reaches a port, compared with who is to reach it: in the check, and in what `meshcheck expect` prints."""

import argparse
import itertools
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_meshcheck.__main__ import main
from pytest_meshcheck.checks.access import Access, Outcome
from pytest_meshcheck.checks.own.expected_access import ExpectedAccess
from pytest_meshcheck.checks.verdict import Level, Result, Verdict, Violation
from pytest_meshcheck.commands import expect as command
from pytest_meshcheck.configuration.own.test_expected import test_access_is_as_expected as access_is_as_expected
from pytest_meshcheck.manifests.expectations.reading import expected_in
from pytest_meshcheck.manifests.expectations.snapshot import snapshot
from pytest_meshcheck.manifests.plan import Configured, Plan, plan
from pytest_meshcheck.manifests.reading import Text, objects_in
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.probe.protocol.messages import Ending
from pytest_meshcheck.report.model import MeshVersion, Report, encode
from tests.unit.test_manifests.test_checks import Mesh, Trial

PORT = "shop/orders:80"
ONLY_WEB = ExpectedAccess(PORT, frozenset({"shop/web"}))
IN_THE_MESH = ExpectedAccess(PORT, None, refuses_plaintext=True)


def entry(caller: str, **fields: Any) -> Access:
    given = {"destination": PORT, "caller": caller, "enrolled": caller != "outsider"}
    return Access(**{**given, "outcome": Outcome.SERVED, "arrived": True, **fields})


def refused(caller: str, **fields: Any) -> Access:
    return entry(caller, **{"outcome": Outcome.REFUSED, "form": "status 403", "arrived": False, **fields})


class Seen(Trial):
    """A trial that has seen this access."""

    def __init__(self, *entries: Access, itself: Ending = Ending.ANSWERED) -> None:
        super().__init__(itself)
        self.entries = entries

    async def access(self, _destination: str) -> tuple[Access, ...]:
        return self.entries


async def checked(expected: ExpectedAccess, trial: Trial) -> None:
    await access_is_as_expected(mesh=Mesh(), mesh_trial=trial, expected_access=expected)


CONFORMS = {
    # case: what is expected, what is seen
    "listed": (ONLY_WEB, [entry("shop/web"), refused("shop/cart"), refused("outsider")]),
    "refused-by-address": (ONLY_WEB, [entry("shop/web"), refused("shop/web", address_of="shop/orders")]),
    "itself": (ONLY_WEB, [entry("shop/web"), refused("shop/orders"), entry("shop/orders", address_of="shop/orders")]),
    "nobody": (ExpectedAccess(PORT, frozenset()), [refused("shop/web"), refused("outsider")]),
    "anybody-in-the-mesh": (IN_THE_MESH, [entry("shop/web"), refused("outsider")]),
    "outsider-listed": (ExpectedAccess(PORT, frozenset({"outsider"})), [entry("outsider")]),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("case", CONFORMS)
async def test_access_as_expected_conforms(case: str) -> None:
    expected, seen = CONFORMS[case]
    await checked(expected, Seen(*seen))


ELSE, ITS = "nobody else to get in", "each of its callers to be served by name"
VIOLATES: dict[str, tuple[ExpectedAccess, list[Access], str]] = {
    # case: what is expected, what is seen, what is said
    "unlisted": (ONLY_WEB, [entry("shop/web"), entry("shop/cart")], f"{ELSE}, but shop/cart by name: served"),
    "by-address": (
        ONLY_WEB,
        [entry("shop/web"), refused("stranger"), entry("stranger", address_of="shop/orders")],
        f"{ELSE}, but stranger by the address of shop/orders: served",
    ),
    "unseen": (
        ONLY_WEB,
        [entry("shop/web"), refused("shop/cart", form="timed-out", arrived=True)],
        f"{ELSE}, but shop/cart by name: refused (timed-out), but arrived",
    ),
    "now-and-then": (
        ONLY_WEB,
        [entry("shop/web"), entry("shop/cart", outcome=Outcome.VARIES, form="reset")],
        f"{ELSE}, but shop/cart by name: varies (reset)",
    ),
    "plaintext": (
        IN_THE_MESH,
        [entry("shop/web"), entry("outsider")],
        f"{ELSE}, but outsider by name, in plaintext: served",
    ),
    "refused": (ONLY_WEB, [refused("shop/web")], f"{ITS}, but shop/web by name: refused (status 403)"),
    "not-always": (
        ONLY_WEB,
        [entry("shop/web", outcome=Outcome.VARIES, form="status 503")],
        f"{ITS}, but shop/web by name: varies (status 503)",
    ),
    "elsewhere": (
        ONLY_WEB,
        [entry("shop/web", arrived=False)],
        f"{ITS}, but shop/web by name: served, but did not arrive",
    ),
    "both": (ONLY_WEB, [refused("shop/web"), entry("outsider")], f"{ELSE}, but outsider by name, in plaintext: served"),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("case", VIOLATES)
async def test_access_that_is_not_as_expected_violates(case: str) -> None:
    expected, seen, said = VIOLATES[case]
    with pytest.raises(Violation) as violation:
        await checked(expected, Seen(*seen))
    assert str(violation.value) == f"expected access to {PORT}: {said}"


@pytest.mark.asyncio
async def test_who_got_in_violates_even_where_a_stand_in_does_not_answer_itself() -> None:
    with pytest.raises(Violation, match="outsider by name, in plaintext: served"):
        await checked(ONLY_WEB, Seen(refused("shop/web"), entry("outsider"), itself=Ending.RESET))


@pytest.mark.asyncio
async def test_nothing_is_known_of_a_caller_where_a_stand_in_does_not_answer_itself() -> None:
    with pytest.raises(Inconclusive, match="orders to itself"):
        await checked(ONLY_WEB, Seen(refused("shop/web"), itself=Ending.RESET))


@pytest.mark.asyncio
@pytest.mark.parametrize(("form", "explained"), [("timed-out", True), ("status 403", False)])
async def test_a_standstill_explains_only_that_a_caller_gave_up(form: str, explained: bool) -> None:
    with pytest.raises(Violation) as violation:
        await checked(ONLY_WEB, Seen(refused("shop/web", form=form)))
    assert (violation.value.rests_on is not None) is explained


def shop() -> Plan:
    """Two stand-ins and three ports, which the matrix below is about."""
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {{name: {0}, namespace: shop, labels: {{app: {0}}}}}\nspec: {{}}\n"
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: orders, namespace: shop}\n"
    ports = "spec: {selector: {app: orders}, ports: [{port: 80}, {port: 81}, {port: 82}]}\n"
    text = "---\n".join([pod.format("orders"), pod.format("web"), service + ports])
    return plan(objects_in([Text("a.yaml", text)]), Configured("none", ()))


def at(number: int, *entries: Access) -> list[Access]:
    return [msgspec.structs.replace(one, destination=f"shop/orders:{number}") for one in entries]


ORDERED = [
    *at(80, entry("shop/orders"), entry("shop/web"), refused("stranger"), refused("outsider")),
    *at(81, refused("shop/orders"), refused("shop/web"), refused("stranger"), refused("outsider")),
]
SAID = """# Who reached what on istio 1.30.0, today.
# It is what the mesh did, and not what it should do: review it.
plaintext = "refused"

[[access]]
to = "shop/orders:80"
from = ["shop/orders", "shop/web"]

[[access]]
to = "shop/orders:81"
from = []
"""
LEAKING = [
    *at(80, entry("shop/web"), refused("stranger"), entry("outsider")),
    *at(81, entry("shop/web"), refused("stranger"), entry("stranger", address_of="shop/orders")),
    *at(82, entry("shop/web", outcome=Outcome.VARIES, form="reset"), refused("stranger")),
]
SAID_OF_LEAKS = """
[[access]]
# in plaintext: outsider
to = "shop/orders:80"
from = ["shop/web", "outsider"]

# shop/orders:81 has no entry, as some of its callers are served on some ways only:
#   stranger by the address of shop/orders: served

# shop/orders:82 has no entry, as some of its callers are served on some ways only:
#   shop/web by name: varies (reset)
"""


@pytest.mark.parametrize("matrix", [ORDERED, LEAKING], ids=["ordered", "leaking"])
def test_what_is_printed_of_a_matrix_is_expected_of_the_same_matrix(matrix: list[Access]) -> None:
    expected = expected_in(Text("meshcheck.toml", snapshot(matrix, "none")), shop()).access
    assert "shop/orders:80" in expected
    for port, one in expected.items():
        compared = one.compared([each for each in matrix if each.destination == port])
        assert (compared.leaks, compared.missing) == ((), ())


WAYS = [(outcome, arrived) for outcome in Outcome for arrived in (False, True)]


def test_whatever_becomes_of_a_caller_is_expected_of_it_in_what_is_printed() -> None:
    for by_name, by_address, enrolled in itertools.product(WAYS, WAYS, (False, True)):
        ways = {"": by_name, "shop/orders": by_address}
        matrix = [
            entry("shop/web", address_of=address, outcome=outcome, arrived=arrived, enrolled=enrolled)
            for address, (outcome, arrived) in ways.items()
        ]
        matrix = [*at(80, *matrix), *at(81, refused("shop/web"))]
        for port, one in expected_in(Text("meshcheck.toml", snapshot(matrix, "none")), shop()).access.items():
            compared = one.compared([each for each in matrix if each.destination == port])
            assert (compared.leaks, compared.missing) == ((), ())


def test_what_leaks_is_printed_to_be_reviewed() -> None:
    said = snapshot(LEAKING, "none")
    assert said.endswith(SAID_OF_LEAKS)
    assert "\nplaintext =" not in said


def report(folder: Path, access: list[Access]) -> Path:
    result = Result(
        id="own/access",
        verdict=Verdict.CONFORMS,
        level=Level.MAY,
        requirement="own.access",
        description="",
        seconds=1.0,
        access=tuple(access) or msgspec.UNSET,
    )
    of_run = Report(
        meshcheck="0",
        mesh=MeshVersion("istio", "1.30.0"),
        platform="kind",
        started="today",
        seconds=1.0,
        level=Level.MAY,
        results=(result,),
    )
    (folder / "report.json").write_bytes(encode(of_run))
    return folder / "report.json"


def test_the_command_prints_the_matrix_of_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["expect", str(report(tmp_path, ORDERED))]) == 0
    assert capsys.readouterr().out == SAID


def test_the_command_refuses_what_has_no_matrix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = report(tmp_path, [])
    assert command.run(argparse.Namespace(report=path)) == 4
    assert capsys.readouterr().err == (
        f"error: {path}: no access in this report; write one with: pytest --mesh=NAME --mesh-manifests=PATH\n"
    )
    assert main(["expect", str(tmp_path / "none.json")]) == 4
    assert "none.json: No such file" in capsys.readouterr().err
