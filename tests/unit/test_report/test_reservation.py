"""A report directory belongs to one run at a time."""

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_meshcheck.report.files import ReportNotWritten
from pytest_meshcheck.report.reservation import DirectoryTaken, Reservation

HOLDS = """
import sys, pathlib
from pytest_meshcheck.report.reservation import Reservation
Reservation([pathlib.Path(sys.argv[1])])
print("held", flush=True)
sys.stdin.read()
"""


def test_whoever_is_refused_leaves_the_directory_to_its_owner(tmp_path: Path) -> None:
    directory = tmp_path / "report"
    owner = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "held\n"
        for _ in range(2):
            with pytest.raises(DirectoryTaken):
                Reservation([directory])
        assert directory.is_dir()


def test_a_directory_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    with pytest.raises(ReportNotWritten, match="Permission denied"):
        Reservation([tmp_path])
