"""Each planted defect is seen by every check that has to see it: it violates, it does not merely break."""

import pytest

from tests.falsify.judged import Verdicts, survivors
from tests.falsify.table import DEFECTS


@pytest.mark.parametrize("defect", DEFECTS)
def test_defect_is_seen(defect: str, verdicts: Verdicts) -> None:
    assert not survivors(defect, verdicts)
