"""No sound mesh is found to violate anything because processes of the run stood still."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_meshcheck.checks.verdict import Verdict
from tests.falsify.clusters import NETWORK
from tests.falsify.judged import FIRST_END, SOUND_MESH, Run, Verdicts
from tests.falsify.stop_and_go import StopAndGo, itself, probes, sidecar_of
from tests.falsify.table import SUITE

RENEWALS = "rotation/leaf or rotation/new-handshakes"
CHOSEN = (
    # name, the checks that time matters most to, what is stopped, after how many seconds
    ("mtls", "plaintext-is-refused-for-tcp-and-grpc or expired-certificate or protocol-floor", itself, 0.3),
    ("identity", "identity/", itself, 0.1),
    ("retry", "connection-refused or stall or attempts-are-limit-plus-one", itself, 0.7),
    ("timeout", "timeout/", itself, 1.1),
    ("rotation", "rotation/", itself, 1.4),
    ("rotation-later", RENEWALS, itself, 2.2),
    ("lifecycle", "lifecycle/", itself, 1.0),
    ("probes", f"slow-answer-is-cut or sees-the-cancellation or connection-refused or {RENEWALS}", probes, 0.4),
    ("sidecar", f"slow-answer-is-cut or covers-all-attempts or {RENEWALS}", sidecar_of("blue.server"), 0.9),
)
RUNS = [
    StopAndGo(Run(name, (SOUND_MESH,), ("-k", chosen, *FIRST_END)), what, offset)
    for name, chosen, what, offset in CHOSEN
]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Verdicts]]:
    """What all runs came to; they are made at the same time, as what is stopped takes no processor."""
    with ThreadPoolExecutor(len(RUNS)) as pool:
        made = {str(run): pool.submit(run.verdicts, folder(tmp_path_factory, run)) for run in RUNS}
        yield {name: future.result() for name, future in made.items()}


def folder(tmp_path_factory: pytest.TempPathFactory, run: StopAndGo) -> Path:
    return tmp_path_factory.mktemp(str(run))


def test_every_family_meets_it() -> None:
    families = {folder.parent.name for folder in SUITE.glob("*/requirements.toml")}
    assert families - {NETWORK} <= {name for name, *_ in CHOSEN}


@pytest.mark.parametrize("name", [str(run) for run in RUNS])
def test_standing_still_is_no_violation(name: str, judged: dict[str, Verdicts]) -> None:
    verdicts = judged[name]
    assert verdicts
    assert not {check for check, verdict in verdicts.items() if verdict is Verdict.VIOLATES}
