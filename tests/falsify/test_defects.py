"""Each planted defect is seen by every check that has to see it: it violates, it does not merely break."""

import pytest

from tests.falsify.clauses import Tripped, all_clauses
from tests.falsify.judged import Verdicts, survivors
from tests.falsify.table import DEFECTS


@pytest.mark.parametrize("defect", DEFECTS)
def test_defect_is_seen(defect: str, verdicts: Verdicts) -> None:
    assert not survivors(defect, verdicts)


@pytest.mark.parametrize("clause", all_clauses())
def test_clause_is_the_only_one_to_see_a_defect(clause: str, tripped: Tripped) -> None:
    """Without it that defect would go unseen."""
    seen_by = [found for by_check in tripped.values() for found in by_check.values()]
    assert {clause} in seen_by, "no planted defect needs this expectation: plant one, or take the expectation away"
