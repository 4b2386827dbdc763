"""The sound mesh conforms, whatever the clocks of its machines; one that does nothing, or refuses all, never does."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from pytest_meshcheck.checks.verdict import Verdict
from tests import clocks
from tests.falsify.clusters import ON_CLUSTERS, RECORDS
from tests.falsify.judged import ENDS, FIRST_END, SOUND_MESH, UPGRADABLE, Run, Verdicts, upgraded
from tests.falsify.table import OF_OTHER_PROMISES, SLOW, checks, of_upgrade
from tests.falsify.variants import VARIANTS

IMPATIENT = "--mesh-timeout-scale=0.3"
"""Nothing good is to be waited for."""

WITHOUT_CLOCKS = pytest.mark.skipif(bool(clocks.lacking()), reason=clocks.lacking())
ABOUT_TIME = ("rotation/", "timeout/", "retry/", "lifecycle/")
"""The families that compare points in time."""

CLOCKS_APART = Run("clocks-apart", (SOUND_MESH,), ("-p", "tests.clocks", "-k", " or ".join(ABOUT_TIME), *FIRST_END))
SOUND = [
    Run(SOUND_MESH, (SOUND_MESH,), ENDS, thorough=True),
    upgraded(UPGRADABLE, UPGRADABLE),
    *(Run(name, (name,), ("-k", " or ".join(variant.checks))) for name, variant in VARIANTS.items()),
    pytest.param(CLOCKS_APART, marks=WITHOUT_CLOCKS, id="clocks-apart"),
]
NO_MESHES = ("no-mesh", "refuse-all")
USELESS = [
    run
    for name in NO_MESHES
    for run in (
        Run(name, (name,), (IMPATIENT, *FIRST_END)),
        Run(f"{name}-both-ends", (name,), (IMPATIENT, *ENDS), thorough=True),
        replace(upgraded(f"{name}-upgraded", name, IMPATIENT, *ENDS), thorough=name != NO_MESHES[0]),
    )
]


def of_run(run: Run) -> set[str]:
    """The checks that a run is about: those of the default lane."""
    upgrades = "--mesh-upgrade-to=2" in run.arguments
    return {check for check in checks() if of_upgrade(check) == upgrades and check not in SLOW}


def conforming(run: Run) -> set[str]:
    """The checks that have to conform in a run on a sound mesh."""
    if variant := VARIANTS.get(run.name):
        return without_parameters(variant.checks)
    chosen = ABOUT_TIME if run is CLOCKS_APART else ("",)
    others = {*OF_OTHER_PROMISES, *ON_CLUSTERS, *RECORDS}
    return {check for check in of_run(run) - others if check.startswith(chosen)}


def without_parameters(ids: Iterable[str]) -> set[str]:
    return {one.partition("[")[0] for one in ids}


@pytest.mark.parametrize("run", SOUND, ids=str)
def test_sound_mesh_conforms(run: Run, verdicts: Verdicts) -> None:
    good = {check: verdict for check, verdict in verdicts.items() if verdict is Verdict.CONFORMS}
    assert without_parameters(good) == conforming(run)
    rest = {check: verdict for check, verdict in verdicts.items() if check not in good}
    assert set(rest.values()) <= {Verdict.UNSUPPORTED, Verdict.KNOWN_VIOLATION}, rest


@pytest.mark.parametrize("run", USELESS, ids=str)
def test_no_check_conforms_on_a_mesh_that_is_none(run: Run, verdicts: Verdicts) -> None:
    assert without_parameters(verdicts) == of_run(run)
    assert not {check for check, verdict in verdicts.items() if verdict is Verdict.CONFORMS}
