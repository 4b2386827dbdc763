import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from pytest_meshcheck.checks.verdict import Result, Verdict
from pytest_meshcheck.report import writer
from pytest_meshcheck.report.files import ReportNotWritten, append, replace
from pytest_meshcheck.report.model import Report

FILES = {"report.json", "report.md", "report.html", "badge.json", "changes.md"}
TOKEN = "Bearer c2VjcmV0LXRva2VuLW9mLW1pbmU"


def test_a_report_with_a_baseline_is_five_files(sample: Report, tmp_path: Path) -> None:
    page = writer.write(sample, tmp_path / "new" / "envoy-1.40.0")
    assert page.name == "report.html"
    assert {path.name for path in page.parent.iterdir()} == FILES


def test_without_a_baseline_there_are_no_changes_not_even_those_of_before(sample: Report, tmp_path: Path) -> None:
    writer.write(sample, tmp_path)
    writer.write(msgspec.structs.replace(sample, baseline=None), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES - {"changes.md"}


def test_other_files_of_the_directory_are_left_alone(sample: Report, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "mtls").mkdir()
    writer.write(sample, tmp_path)
    writer.write(sample, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES | {"notes.txt", "mtls"}


def test_a_directory_that_cannot_be_made_is_named(sample: Report, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportNotWritten, match=r"file/report could not be written: .*--mesh-report"):
        writer.write(sample, tmp_path / "file" / "report")


def test_what_cannot_be_written_leaves_the_earlier_report_whole(sample: Report, tmp_path: Path) -> None:
    writer.write(sample, tmp_path)
    earlier = (tmp_path / "report.json").read_bytes()
    (tmp_path / "report.html").unlink()
    (tmp_path / "report.html").mkdir()
    with pytest.raises(ReportNotWritten) as error:
        writer.write(sample, tmp_path)
    assert error.value.path == tmp_path / "report.html"
    assert (tmp_path / "report.json").read_bytes() == earlier
    assert not list(tmp_path.glob(".*.tmp"))


FULL_DISK = """
import resource, sys
from pathlib import Path
from pytest_meshcheck.report.files import ReportNotWritten, replace
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    replace(Path(sys.argv[1]), b"x" * 100_000)
except ReportNotWritten as error:
    sys.exit(f"refused: {error}")
"""


def test_a_file_that_does_not_fit_leaves_the_earlier_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    replace(path, b"earlier")
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert f"refused: {path} could not be written: File too large" in ran.stderr
    assert path.read_bytes() == b"earlier"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_is_named() -> None:
    with pytest.raises(ReportNotWritten, match="/dev/full could not be written: No space left on device"):
        append(Path("/dev/full"), b"x")


def test_the_summary_of_a_job_grows(sample: Report, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    writer.write(sample, tmp_path / "report")
    writer.add_to_summary(sample, summary)
    text = summary.read_text()
    assert text.startswith("before\n# Mesh conformance")
    assert (tmp_path / "report" / "report.md").read_text() in text


def test_no_secret_of_a_message_is_written(
    make_report: Callable[..., Report], make_result: Callable[..., Result], tmp_path: Path
) -> None:
    leaky = make_result(
        "a/b",
        Verdict.VIOLATES,
        "r",
        actual=f"200 with {TOKEN}",
        expected=TOKEN,
        reason=TOKEN,
        link=f"https://a.example/?{TOKEN}",
        reproduce=TOKEN,
        measured={"header": TOKEN},
    )
    writer.write(make_report(leaky, platform=TOKEN), tmp_path)
    for path in tmp_path.iterdir():
        assert TOKEN.split()[1] not in path.read_text(), path.name
    assert "200 with Bearer [redacted]" in json.loads((tmp_path / "report.json").read_text())["results"][0]["actual"]
