"""A check under load ends as inconclusive as soon as the machine does not carry the load, wherever it is by then."""

import json
from pathlib import Path

import msgspec
import pytest

from pytest_meshcheck.checks.verdict import Verdict
from pytest_meshcheck.report.model import Report
from tests.falsify.judged import PATIENCE, SOUND_MESH, Run, arguments, environment
from tests.falsify.overload import FILE, STEP
from tests.falsify.table import ROOT
from tests.forked import FORKED

OVERLOADED = (
    ("issuer-changes-under-load", "rotate"),
    ("issuer-changes-under-load", "handshake"),
    ("whole-root-change-loses-nothing", "rotate"),
    ("whole-root-change-loses-nothing", "handshake"),
    ("leaf-renewal-loses-nothing", "handshake"),
)
"""Checks, each with the step after which its loads are late."""


@pytest.mark.parametrize(("check", "step"), OVERLOADED)
def test_a_load_that_is_not_carried_ends_the_check_at_once(check: str, step: str, tmp_path: Path) -> None:
    run = Run(check, (SOUND_MESH,), ("-p", "tests.falsify.overload", "-k", check), ("conformance/rotation",))
    env = {**environment(), STEP: step}
    _, output = FORKED.run(arguments(run, tmp_path), ROOT, env, PATIENCE)
    (report,) = tmp_path.glob("*/report.json")
    results = msgspec.json.decode(report.read_bytes(), type=Report).results
    (result,) = (one for one in results if one.id == f"rotation/{check}")
    assert result.verdict is Verdict.INCONCLUSIVE, output
    assert result.reason.startswith("the machine cannot carry the load: ")
    assert not json.loads((tmp_path / FILE).read_text())
