import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_meshcheck.__main__ import main
from pytest_meshcheck.checks.verdict import Result, Verdict
from pytest_meshcheck.report import publish as publication
from pytest_meshcheck.report.anonymise import without_machine
from pytest_meshcheck.report.model import MeshVersion, Report, encode, load

MakeResult = Callable[..., Result]
MakeReport = Callable[..., Report]

PLACES = ("/home/jane/charts", "jane-laptop", "registry.corp.example", "/srv/values.yaml", "/opt/kube")


@pytest.fixture
def local(make_report: MakeReport, make_result: MakeResult) -> Report:
    """Of a run with charts, values, image and cluster of somebody's own, which also show in what it says."""
    where = (
        "--mesh-kubeconfig=/opt/kube/config --mesh-context=jane-laptop --mesh-installed "
        "--mesh-probe-image=registry.corp.example/team/probe:1 --mesh-charts=/home/jane/charts"
    )
    violation = make_result(
        "retry/count",
        Verdict.VIOLATES,
        "retry.count",
        expected="3 attempts of GET http://server.blue.svc:80/a/b",
        actual="1 attempt, logged in /srv/logs/of/blue.txt",
        evidence="retry/count",
        reproduce=f"pytest --mesh=acme {where} -k 'retry/count'",
        measured={"log": "/srv/logs/blue", "attempts": 1},
    )
    broken = make_result(
        "retry/pull",
        Verdict.INCONCLUSIVE,
        "retry.count",
        reason="context jane-laptop (Kubernetes v1.34.4): no registry.corp.example/team/probe:1; "
        "values=/srv/values.yaml; GET /apis/apps/v1/namespaces is fine",
        reproduce=f"pytest --mesh=acme {where} -k 'retry/pull'",
    )
    platform = "context jane-laptop (Kubernetes v1.34.4)"
    steps = {"load registry.corp.example/team/probe:1": 2.0, "mesh": 9.0}
    return make_report(violation, broken, mesh=MeshVersion("acme", "2.0"), platform=platform, steps=steps)


def publish(directory: Path, *reports: Report) -> Path:
    paths = [directory / f"{number}.json" for number, _ in enumerate(reports)]
    for path, report in zip(paths, reports, strict=True):
        path.write_bytes(encode(report))
    return publication.publish(paths, directory / "results")


@pytest.mark.parametrize("place", PLACES)
def test_nothing_of_the_machine_is_published(place: str, local: Report) -> None:
    assert place in encode(local).decode()
    assert place not in encode(without_machine(local)).decode()


def test_what_is_said_stays_readable(local: Report) -> None:
    published = without_machine(local)
    violation, broken = published.results
    assert published.steps == {"load probe:1": 2.0, "mesh": 9.0}
    assert published.platform == "a cluster (Kubernetes v1.34.4)"
    assert violation.expected == "3 attempts of GET http://server.blue.svc:80/a/b"
    assert violation.actual == "1 attempt, logged in blue.txt"
    assert violation.measured == {"log": "blue", "attempts": 1}
    assert violation.reproduce == "pytest --mesh=acme --mesh-installed -k 'retry/count'"
    assert broken.reason == (
        "a cluster (Kubernetes v1.34.4): no probe:1; values=values.yaml; GET /apis/apps/v1/namespaces is fine"
    )


def test_a_published_command_names_the_version(sample: Report) -> None:
    commands = [result.reproduce for result in without_machine(sample).results]
    assert commands[0] == "pytest --mesh=envoy@1.40.0 -k 'mtls/plaintext-is-refused[http-service]'"


def test_a_published_command_finds_the_suite_of_the_plugin(make_report: MakeReport, make_result: MakeResult) -> None:
    values = "--mesh-values=/home/jane doe/v.yaml"
    test = "pytest_meshcheck.conformance.retry.test_a::test_b[acme-1]"
    command = f"pytest '{values}' --pyargs '{test}'"
    told = make_result("retry/b[1]", Verdict.VIOLATES, "r", actual="as /home/jane doe/v.yaml says", reproduce=command)
    published = without_machine(make_report(told, mesh=MeshVersion("acme", "2.0"))).results[0]
    assert published.reproduce == "pytest --pyargs pytest_meshcheck.conformance --mesh=acme@2.0 -k 'retry/b[1]'"
    assert published.actual == "as v.yaml says"


def test_a_place_that_is_short_is_no_part_of_other_words(make_report: MakeReport, make_result: MakeResult) -> None:
    command = "pytest --mesh=acme --mesh-manifests=. --mesh-charts=a/s --mesh-report=k8s -k a/b"
    actual = "took 2.041 s with the charts in a/s, and data/seconds of others"
    result = make_result("a/b", Verdict.VIOLATES, "r", actual=actual, reproduce=command)
    published = without_machine(make_report(result)).results[0]
    assert published.actual == "took 2.041 s with the charts in s, and data/seconds of others"


def test_secrets_are_taken_out_once_more(make_report: MakeReport, make_result: MakeResult) -> None:
    told = make_result("a/b", Verdict.INCONCLUSIVE, "r", reason="sent Authorization: Bearer abcdef0123456789ABCDEF")
    assert "abcdef0123456789ABCDEF" not in encode(without_machine(make_report(told))).decode()


def test_the_address_of_a_pod_is_left_out(make_report: MakeReport, make_result: MakeResult) -> None:
    unreachable = make_result("a/b", Verdict.INCONCLUSIVE, "r", reason="Get http://10.244.0.41:15021/healthz: refused")
    assert without_machine(make_report(unreachable)).results[0].reason == "Get <address>:15021/healthz: refused"


def test_publishing_what_is_published_changes_nothing(local: Report, sample: Report) -> None:
    for report in (local, sample):
        once = without_machine(report)
        assert without_machine(once) == once


def test_a_directory_grows_report_by_report(local: Report, sample: Report, tmp_path: Path) -> None:
    publish(tmp_path, local)
    page = publish(tmp_path, sample).read_text()
    assert {path.name for path in (tmp_path / "results").iterdir()} == {
        "README.md",
        "acme-2.0.json",
        "envoy-1.40.0.json",
    }
    assert "- [acme 2.0](acme-2.0.json): a cluster (Kubernetes v1.34.4) · 2026-03-01 · level SHOULD · 18 s" in page
    assert "|  | acme 2.0 | envoy 1.40.0 |" in page
    assert "| `retry/count` | ❌ |  |" in page
    assert (
        "- ❌ `retry/count` violates: Expected 3 attempts of GET http://server.blue.svc:80/a/b, but 1 attempt" in page
    )
    assert "([why](https://github.com/istio/istio/issues/1))" in page


def test_a_newer_report_replaces_the_older_one(local: Report, make_report: MakeReport, tmp_path: Path) -> None:
    publish(tmp_path, local)
    publish(tmp_path, make_report(mesh=local.mesh))
    (published,) = publication.published_in(tmp_path / "results")
    assert published.results == ()


def test_the_page_alone_can_be_made_anew(local: Report, tmp_path: Path) -> None:
    page = publish(tmp_path, local)
    whole = page.read_text()
    page.unlink()
    assert main(["publish", "--to", str(page.parent)]) == 0
    assert page.read_text() == whole
    (page.parent / "acme-2.0.json").unlink()
    assert main(["publish", "--to", str(page.parent)]) == 0
    assert "None yet." in page.read_text()


@pytest.mark.parametrize("version", ["../../1", "1/2", "1 2", ""])
def test_a_report_cannot_choose_its_directory(
    version: str, make_report: MakeReport, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "report.json").write_bytes(encode(make_report(mesh=MeshVersion(version and "acme", version))))
    assert main(["publish", str(tmp_path / "report.json"), "--to", str(tmp_path / "results")]) == 4
    assert "file name" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_what_is_no_report_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results"
    results.mkdir()
    (results / "notes.json").write_text(json.dumps({"schema": "9"}))
    assert main(["publish", "--to", str(results)]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert str(results / "notes.json") in line


def test_a_directory_that_cannot_be_made_is_one_line(
    local: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "report.json").write_bytes(encode(local))
    assert load(tmp_path / "report.json") == local
    assert main(["publish", str(tmp_path / "report.json"), "--to", str(tmp_path / "report.json" / "x")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
