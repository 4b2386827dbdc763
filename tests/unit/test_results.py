"""The reports of real runs that are published: whole, nobody's own, and on a page that is up to date."""

import json
import re
import socket
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pytest_meshcheck.report import publish as publication, schema
from pytest_meshcheck.report.anonymise import without_machine
from pytest_meshcheck.report.model import encode, load

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results"
REPORTS = sorted(RESULTS.glob("*.json"))
ANEW = "run `meshcheck publish --to docs/results`"
HOST = socket.gethostname()
RUN_OUTPUT = ("expected", "actual", "reason", "reproduce", "evidence")

URL_HOST = re.compile(r"\b(?:https?|oci)://(?![\w.-]+\.svc\b)[\w.-]+")
"""A URL up to its host, unless that is a service of a cluster."""

FORBIDDEN = (
    r"(?<![\w:/.])/(?:home|root|tmp|var|opt|srv|mnt|work|Users|usr|etc|private)\b[^\s'\"]*",
    r"--mesh-[a-z-]+=\S*",
    r"\bcontext \S+",
    r"PRIVATE KEY-|client-key-data|[Bb]earer [A-Za-z0-9]",
    *([rf"(?<![\w.-]){re.escape(HOST)}(?![\w.-])"] if len(HOST) > 3 else []),
)
LEAKS = ("in /tmp/x", "--mesh-charts=x", "context jane", "Bearer abc", "GET https://charts.corp.example/x")

TRIAL = "bookinfo.md"
"""The report on a sample's configuration, which says nothing of a mesh as such."""

every_report = pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)


def test_the_page_is_what_the_reports_make() -> None:
    page = (RESULTS / publication.PAGE).read_text()
    assert page == publication.page(publication.published_in(RESULTS)), f"the page is stale: {ANEW}"


def test_nothing_else_is_there() -> None:
    known = {publication.PAGE, TRIAL, *(path.name for path in REPORTS)}
    assert {path.name for path in RESULTS.iterdir()} == known


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
    assert leaks(path.read_text()) == []


@pytest.mark.parametrize("reason", LEAKS)
def test_a_leak_is_seen(reason: str) -> None:
    result = dict.fromkeys(RUN_OUTPUT, "") | {"reason": reason, "measured": {}}
    assert leaks(json.dumps({"platform": "", "steps": {}, "capabilities": [], "requirements": {}, "results": [result]}))


def leaks(text: str) -> list[str]:
    """What is in a report's text that belongs to a machine or has to stay secret."""
    content = json.loads(text)
    said = [
        content["platform"],
        *content["steps"],
        *(result[name] for result in content["results"] for name in RUN_OUTPUT),
    ]
    said += [str(value) for result in content["results"] for value in result["measured"].values()]
    output = "\n".join(said)
    hosts = {found[0] for found in URL_HOST.finditer(output)} - public(content)
    return [*sorted(hosts), *(found[0] for pattern in FORBIDDEN for found in re.finditer(pattern, output))]


def public(content: dict[str, Any]) -> set[str]:
    """The hosts of the sources that a report names."""
    sources = [row["source"] for row in content["capabilities"]]
    sources += [source["url"] for required in content["requirements"].values() for source in required["sources"]]
    return {found[0] for source in sources for found in URL_HOST.finditer(source)}
