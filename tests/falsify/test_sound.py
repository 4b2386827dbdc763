"""The sound mesh conforms; a mesh that does nothing, and one that refuses everything, conform on nothing."""

import pytest

from pytest_meshcheck.judge.verdict import Verdict
from tests.falsify.judged import SOUND_MESH, Run, Verdicts
from tests.falsify.table import checks

IMPATIENT = ("--mesh-timeout-scale=0.3",)
"""Nothing good is to be waited for."""


def without_parameters(verdicts: Verdicts) -> set[str]:
    return {check.partition("[")[0] for check in verdicts}


@pytest.mark.parametrize("run", [Run(SOUND_MESH, SOUND_MESH)], ids=str)
def test_sound_mesh_conforms(verdicts: Verdicts) -> None:
    good = {check: verdict for check, verdict in verdicts.items() if verdict is Verdict.CONFORMS}
    assert without_parameters(good) == set(checks())
    rest = {check: verdict for check, verdict in verdicts.items() if check not in good}
    assert set(rest.values()) <= {Verdict.UNSUPPORTED}, rest


@pytest.mark.parametrize("run", [Run(name, name, IMPATIENT) for name in ("no-mesh", "refuse-all")], ids=str)
def test_no_check_conforms_on_a_mesh_that_is_none(verdicts: Verdicts) -> None:
    assert without_parameters(verdicts) == set(checks())
    assert not {check for check, verdict in verdicts.items() if verdict is Verdict.CONFORMS}
