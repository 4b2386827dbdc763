"""The picture of who reaches what: a sign for each caller and port, and all of the answer on demand."""

import re
from collections.abc import Callable
from importlib import resources
from typing import Any

import pytest

from pytest_meshcheck.checks.access import Access, Outcome
from pytest_meshcheck.checks.verdict import Level, Result, Verdict
from pytest_meshcheck.report.access_matrix import Sign, access_matrix
from pytest_meshcheck.report.formats import html, markdown
from pytest_meshcheck.report.formats.access_picture import CHARACTERS, picture
from pytest_meshcheck.report.model import Report

SERVED = {"outcome": Outcome.SERVED, "arrived": True}
REFUSED = {"outcome": Outcome.REFUSED, "form": "status 403"}
VARIES = {"outcome": Outcome.VARIES, "form": "status 500", "arrived": True}
BY_ADDRESS = {"address_of": "shop/orders"}

SIGNS: dict[str, tuple[Sign, list[dict[str, Any]]]] = {
    # case: the sign, and what was seen on each way
    "served": (Sign.SERVED, [SERVED, SERVED | BY_ADDRESS]),
    "by-name-only": (Sign.SERVED, [SERVED, REFUSED | BY_ADDRESS]),
    "refused": (Sign.REFUSED, [REFUSED, REFUSED | BY_ADDRESS]),
    "plaintext": (Sign.PLAINTEXT, [SERVED | {"enrolled": False}]),
    "plaintext-by-address": (Sign.PLAINTEXT, [REFUSED, SERVED | BY_ADDRESS | {"enrolled": False}]),
    "plaintext-that-varies": (Sign.PLAINTEXT, [VARIES | {"enrolled": False}]),
    "plaintext-refused": (Sign.REFUSED, [REFUSED | {"enrolled": False}]),
    "by-address-only": (Sign.BY_ADDRESS, [REFUSED, SERVED | BY_ADDRESS]),
    "varies": (Sign.VARIES, [VARIES]),
    "arrived-unknown-to-the-caller": (Sign.DISAGREES, [REFUSED | {"arrived": True}]),
    "served-by-another": (Sign.DISAGREES, [SERVED | {"arrived": False}]),
}


def access(port: str, caller: str, **seen: Any) -> Access:
    return Access(**{"destination": port, "caller": caller, "enrolled": True, **seen})


def result(port: str, *entries: Access) -> Result:
    fields: dict[str, Any] = {"verdict": Verdict.CONFORMS, "level": Level.MAY, "requirement": "own.access"}
    return Result(id=f"own/access[{port}]", description="Who?", seconds=1.0, access=entries, **fields)


@pytest.mark.parametrize("case", SIGNS)
def test_the_sign_of_a_cell(case: str) -> None:
    sign, ways = SIGNS[case]
    matrix = access_matrix([result("shop/orders:80", *(access("shop/orders:80", "shop/web", **way) for way in ways))])
    assert matrix
    assert [cell.sign for row in matrix.rows for cell in row.cells] == [sign]


PORTS = ("billing/api:80", "shop/cart:80", "shop/orders:8080")
CALLERS = ("shop/web", "outsider")
RESULTS = [
    result(PORTS[0], access(PORTS[0], "shop/web", **SERVED), access(PORTS[0], "outsider", enrolled=False, **SERVED)),
    result(PORTS[1], access(PORTS[1], "shop/web", **REFUSED), access(PORTS[1], "outsider", enrolled=False, **REFUSED)),
    result(PORTS[2], access(PORTS[2], "shop/web", **SERVED)),
]


def test_callers_are_rows_and_ports_are_columns_below_their_namespaces() -> None:
    matrix = access_matrix(RESULTS)
    assert matrix
    drawn = picture(matrix)
    assert drawn.namespaces == (("billing/", 1), ("shop/", 2))
    assert [(port.namespace, port.short) for port in drawn.ports][2] == ("shop/", "orders:8080")
    assert {str(line.caller): [cell.sign for cell in line.cells] for line in drawn.lines} == {
        "shop/web": [Sign.SERVED, Sign.REFUSED, Sign.SERVED],
        "outsider": [Sign.PLAINTEXT, Sign.REFUSED, Sign.UNTRIED],
    }
    assert [(sign, number) for sign, _, _, number in drawn.legend] == [("●", 2), ("■", 1), ("✕", 2)]


def test_each_kind_of_sign_is_another_shape_with_a_style_and_a_meaning() -> None:
    assert set(CHARACTERS) == set(Sign)
    assert len({character for character, _ in CHARACTERS.values()}) == len(Sign)
    styles = resources.files("pytest_meshcheck.report.formats").joinpath("templates/access.css").read_text("utf-8")
    unstyled = [sign for sign in Sign if not re.search(rf"\.sign\.{sign}\b", styles)]
    assert unstyled == [Sign.UNTRIED]


def test_the_page_has_the_whole_answer_of_each_sign(make_report: Callable[..., Report]) -> None:
    page = html.render(make_report(*RESULTS))
    said = re.findall(r'class="sign ([\w-]+)" role="img" tabindex="-1" aria-label="([^"]+)">(.)<', page)
    assert said == [
        ("served", "shop/web to billing/api:80: served", "●"),
        ("refused", "shop/web to shop/cart:80: refused (status 403)", "✕"),
        ("served", "shop/web to shop/orders:8080: served", "●"),
        ("plaintext", "outsider to billing/api:80: served, in plaintext", "■"),
        ("refused", "outsider to shop/cart:80: refused (status 403)", "✕"),
    ]
    assert "<script" not in page


def test_fifty_services_fit_on_a_page_that_a_browser_opens_at_once(make_report: Callable[..., Report]) -> None:
    names = [f"shop/service-{number}" for number in range(50)]
    results = [
        result(f"{port}:80", *(access(f"{port}:80", caller, **way) for caller in names for way in (SERVED, REFUSED)))
        for port in names
    ]
    page = html.render(make_report(*results))
    assert page.count('role="img" tabindex') == 2500
    assert len(page) < 1_000_000


def test_in_markdown_many_callers_are_listed_by_what_they_saw(make_report: Callable[..., Report]) -> None:
    callers = {f"shop/c{number}": SERVED if number < 2 else REFUSED for number in range(11)}
    text = markdown.render(make_report(result("shop/a:80", *(access("shop/a:80", c, **w) for c, w in callers.items()))))
    refused = ", ".join(f"`{caller}`" for caller in list(callers)[2:])
    assert text[text.index("## Access matrix") :].splitlines()[2:6] == [
        "| Service |  | Callers |",
        "| --- | --- | --- |",
        "| `shop/a:80` | served | `shop/c0`, `shop/c1` |",
        f"| `shop/a:80` | refused (status 403) | {refused} |",
    ]


def test_a_name_is_escaped(make_report: Callable[..., Report]) -> None:
    page = html.render(make_report(result('a"><b>/c:80', access('a"><b>/c:80', "<i>", **SERVED))))
    assert "<b>" not in page
    assert "<i>" not in page
