"""The reports of real runs that are published: whole, nobody's own, and on a page that is up to date."""

import json
import re
import socket
from pathlib import Path

import jsonschema
import pytest

from pytest_meshcheck.report import publication, schema
from pytest_meshcheck.report.machine import without_machine
from pytest_meshcheck.report.model import encode, load

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results"
REPORTS = sorted(RESULTS.glob("*.json"))
ANEW = "run `meshcheck publish --to docs/results`"
RUN_OUTPUT = ("expected", "actual", "reason", "reproduce", "evidence")

every_report = pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)


def test_the_page_is_what_the_reports_make() -> None:
    page = (RESULTS / publication.PAGE).read_text()
    assert page == publication.page(publication.published_in(RESULTS)), f"the page is stale: {ANEW}"


def test_nothing_else_is_there() -> None:
    assert {path.name for path in RESULTS.iterdir()} == {publication.PAGE, *(path.name for path in REPORTS)}


@every_report
def test_a_report_is_valid_by_the_shipped_schema(path: Path) -> None:
    jsonschema.validate(json.loads(path.read_text()), json.loads(schema.shipped()))


@every_report
def test_a_report_bears_the_name_of_its_mesh(path: Path) -> None:
    assert publication.file_name(load(path)) == path.name


@every_report
def test_a_report_is_written_as_publishing_writes_it(path: Path) -> None:
    assert path.read_bytes() == encode(without_machine(load(path))), f"{path.name}: `meshcheck publish {path.name}`"


@every_report
def test_a_report_holds_no_path_host_or_secret(path: Path) -> None:
    content = json.loads(path.read_text())
    texts = [result[name] for result in content["results"] for name in RUN_OUTPUT] + [content["platform"]]
    text = "\n".join([*texts, *(str(one) for result in content["results"] for one in result["measured"].values())])
    assert (
        re.findall(r"(?<![\w:/.])/(?:home|root|tmp|var|opt|srv|mnt|work|Users|usr|etc|private)\b[^\s'\"]*", text) == []
    )
    assert re.findall(r"--mesh-[a-z-]+=\S*", text) == []
    assert re.findall(r"\bcontext \S+", text) == []
    assert [host for host in re.findall(r"\b[a-z]+://([\w.-]+)", text) if not re.search(r"\.svc(\.|$)", host)] == []
    assert (
        not re.search(rf"(?<![\w.-]){re.escape(socket.gethostname())}(?![\w.-])", text) or len(socket.gethostname()) < 4
    )
    assert not re.search(r"PRIVATE KEY-|client-key-data|[Bb]earer [A-Za-z0-9]", path.read_text())
