"""What becomes of the requests of an access matrix, and how reports show it."""

from typing import Any

import msgspec
import pytest

from pytest_meshcheck.checks.access import Access, Outcome
from pytest_meshcheck.checks.verdict import Level, Result, Verdict
from pytest_meshcheck.probe.protocol.messages import Ending, Exchange, Protocol
from pytest_meshcheck.report.access_matrix import access_matrix
from pytest_meshcheck.testbed.trial.access import form_of

FORMS: dict[str, tuple[Protocol, dict[str, Any], str]] = {
    # case: protocol, what the client saw, the form of the refusal
    "served": (Protocol.HTTP1, {"ending": Ending.ANSWERED, "status": 200}, ""),
    "denied": (Protocol.HTTP1, {"ending": Ending.ANSWERED, "status": 403}, "status 403"),
    "grpc-served": (Protocol.GRPC, {"ending": Ending.ANSWERED, "status": 200, "grpc_status": 0}, ""),
    "grpc-denied": (Protocol.GRPC, {"ending": Ending.ANSWERED, "status": 200, "grpc_status": 7}, "grpc-status 7"),
    "grpc-denied-in-http": (Protocol.GRPC, {"ending": Ending.ANSWERED, "status": 403}, "status 403"),
    "reset": (Protocol.HTTP1, {"ending": Ending.RESET}, "reset"),
    "dropped": (Protocol.TCP, {"ending": Ending.UNREACHABLE}, "unreachable"),
    "tcp-served": (Protocol.TCP, {"ending": Ending.ANSWERED}, ""),
}


@pytest.mark.parametrize("case", FORMS)
def test_the_form_of_a_refusal(case: str) -> None:
    protocol, seen, form = FORMS[case]
    assert (
        form_of(Exchange(request_id="a", protocol=protocol, started=0.0, ended=0.1, wall=0.0, **seen), protocol) == form
    )


def entry(caller: str, **fields: object) -> Access:
    given = {"destination": "shop/orders:80", "caller": caller, "enrolled": True, "outcome": Outcome.SERVED}
    return Access(**{**given, **fields})  # type: ignore[arg-type]


CELLS = {
    # what the cell says: the entries of one caller
    "served": [entry("web", arrived=True), entry("web", address_of="shop/orders", arrived=True)],
    "refused (status 403), by address served": [
        entry("web", outcome=Outcome.REFUSED, form="status 403"),
        entry("web", address_of="shop/orders", arrived=True),
    ],
    "refused (timed-out), but arrived": [entry("web", outcome=Outcome.REFUSED, form="timed-out", arrived=True)],
    "served, but did not arrive": [entry("web")],
    "refused (status 404)": [
        entry("shop/orders", outcome=Outcome.REFUSED, form="status 404"),
        entry("shop/orders", address_of="shop/orders", arrived=True),  # its own pod
    ],
    "varies (status 500)": [entry("web", outcome=Outcome.VARIES, form="status 500", arrived=True)],
}


def result(*entries: Access) -> Result:
    return Result(
        id="own/access[shop/orders:80]",
        verdict=Verdict.CONFORMS,
        level=Level.MAY,
        requirement="own.access",
        description="Who reaches it.",
        seconds=1.0,
        access=entries,
    )


@pytest.mark.parametrize("words", CELLS)
def test_a_cell_says_what_differs_by_address(words: str) -> None:
    matrix = access_matrix([result(*CELLS[words])])
    assert matrix is not None
    assert [cell.words for row in matrix.rows for cell in row.cells] == [words]


def test_plaintext_that_gets_in_is_marked() -> None:
    matrix = access_matrix([result(entry("web", arrived=True), entry("outsider", enrolled=False, arrived=True))])
    assert matrix is not None
    assert matrix.callers == ("web", "outsider")
    assert [cell.plaintext for cell in matrix.rows[0].cells] == [False, True]


def test_a_report_without_such_checks_has_no_matrix() -> None:
    assert access_matrix([msgspec.structs.replace(result(), access=msgspec.UNSET)]) is None
