"""Whether policies went back, by the order of one caller's requests."""

import pytest

from pytest_meshcheck.model.policy_order import Flap, Met, Step, flaps, met_in, unmet
from pytest_meshcheck.probe.protocol.messages import Ending, LoadResult, Property

LONG = 0.5
STEPS = [Step(shown, sent) for shown, sent in zip(".aba.", (0, 2, 5, 9, 11), strict=True)]
"""Created as ``a``, changed to ``b``, changed back, and deleted."""


def one_by_one(text: str) -> list[Met]:
    """One request a second, each of half a second, and what it met; ``-`` tells nothing."""
    return [Met(float(n), n + LONG, letter, letter != "-") for n, letter in enumerate(text)]


@pytest.mark.parametrize(
    ("met", "expected"),
    [
        pytest.param("..aaabbbbaa..", [], id="in order"),
        pytest.param(".............", [], id="nothing acts"),
        pytest.param("..a.aabbbaa..", [Flap(3, LONG)], id="created, and gone for a request"),
        pytest.param("..a..abbbaa..", [Flap(3, 1 + LONG)], id="created, and gone for two requests"),
        pytest.param("..a.a.abbaa..", [Flap(3, LONG), Flap(5, LONG)], id="created, and gone twice"),
        pytest.param("..aaabaabaa..", [Flap(6, 1 + LONG)], id="changed, and back before that is asked for"),
        pytest.param("..aaab.bbaa..", [Flap(6, LONG)], id="changed, and gone for a request"),
        pytest.param("..aaabbbaa.a.", [Flap(11, LONG)], id="deleted, and back for a request"),
        pytest.param("..aaab-bbaa..", [], id="a request that tells nothing"),
        pytest.param("..aaabzbbaa..", [Flap(6, LONG)], id="a policy of nobody's"),
    ],
)
def test_policies_that_go_back_are_counted(met: str, expected: list[Flap]) -> None:
    assert flaps(STEPS, one_by_one(met)) == tuple(expected)


def test_requests_side_by_side_prove_nothing() -> None:
    steps = [Step(None, 0), Step("a", 1)]
    met = [Met(0.0, 0.5, None), Met(1.0, 5.0, None), Met(2.0, 3.0, "a"), Met(2.5, 6.0, None)]
    assert not flaps(steps, met)
    assert flaps(steps, [*met, Met(3.5, 4.0, None)]) == (Flap(4, 0.5),)


def test_a_policy_that_nobody_has_met_is_told() -> None:
    assert unmet(STEPS, one_by_one("..aaa")) == ("b",)
    assert not unmet(STEPS, one_by_one(".ab"))


RESULT = LoadResult(
    request_id="load",
    scheduled=(0.0, 1.0, 2.0),
    sent=(0.0, 1.0, 2.0),
    ended=(0.1, 1.1, 2.1),
    endings=(Ending.ANSWERED, Ending.ANSWERED, Ending.RESET),
    statuses=(200, 503, -1),
    details=("", "", ""),
    policies=(None, "a", False),
)


def test_policies_are_read_from_the_marks_of_requests_that_were_served() -> None:
    met = met_in(RESULT, Property.POLICIES)
    assert met == (Met(0.0, 0.1, None), Met(1.0, 1.1, "a", tells=False), Met(2.0, 2.1, False, tells=False))


def test_what_admits_callers_is_read_from_whether_they_were_served() -> None:
    met = met_in(RESULT, Property.SERVED)
    assert met == (Met(0.0, 0.1, True), Met(1.0, 1.1, False), Met(2.0, 2.1, False))
