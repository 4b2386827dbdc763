"""Each planted defect is seen by every check that has to see it: it violates, it does not merely break."""

import pytest

from tests.falsify.judged import Run, Verdicts, planted, survivors
from tests.falsify.table import DEFECTS


@pytest.mark.parametrize("run", [planted(name) for name in DEFECTS], ids=str)
def test_defect_is_seen(run: Run, verdicts: Verdicts) -> None:
    assert not survivors(run.name, verdicts)
