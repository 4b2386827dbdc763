import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import msgspec
import pytest

from pytest_meshcheck.checks.verdict import Level, Result, Verdict
from pytest_meshcheck.model.capability import Capability, Claim
from pytest_meshcheck.report import schema, views, writer
from pytest_meshcheck.report.model import Observed, Report, ReportUnreadable, encode, load, observe

MakeResult = Callable[..., Result]
MakeReport = Callable[..., Report]


def test_a_report_is_read_as_it_was_written(sample: Report, tmp_path: Path) -> None:
    writer.write(sample, tmp_path)
    assert load(tmp_path / "report.json") == sample


def test_the_shipped_schema_is_the_generated_one() -> None:
    assert schema.shipped() == schema.text()


def test_a_written_report_satisfies_the_schema(sample: Report, tmp_path: Path) -> None:
    writer.write(sample, tmp_path)
    validator = jsonschema.Draft202012Validator(json.loads(schema.shipped()))
    validator.check_schema(validator.schema)
    validator.validate(json.loads((tmp_path / "report.json").read_text()))


def test_requirements_are_written_without_what_they_lack(sample: Report) -> None:
    stated = json.loads(encode(sample))["requirements"]["mtls.lifetime"]
    assert set(stated) == {"text", "sources"}
    assert [set(source) for source in stated["sources"]] == [{"title", "url", "quote"}, {"title", "url"}]


def test_the_schema_refuses_a_verdict_that_does_not_exist(sample: Report) -> None:
    content = json.loads(encode(sample))
    content["results"][0]["verdict"] = "maybe"
    with pytest.raises(jsonschema.ValidationError, match="maybe"):
        jsonschema.validate(content, json.loads(schema.shipped()))


def test_each_result_has_what_readers_rely_on(sample: Report) -> None:
    for result in json.loads(encode(sample))["results"]:
        assert {"id", "verdict", "level", "requirement", "seconds"} <= result.keys()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"not json", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"schema": "2"}', "version '2', this pytest-meshcheck reads '1'"),
        (b'{"schema": "1"}', "not a report of pytest-meshcheck"),
        (b"[]", "not a report of pytest-meshcheck"),
        (b"{}", "not a report of pytest-meshcheck"),
    ],
)
def test_what_is_not_a_report_is_refused_by_name(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_bytes(content)
    with pytest.raises(ReportUnreadable) as error:
        load(path)
    assert str(path) in str(error.value)
    assert reason in str(error.value)


def test_a_missing_report_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ReportUnreadable, match=r"none\.json: No such file"):
        load(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("verdicts", "observed"),
    [
        ((Verdict.CONFORMS, Verdict.FIXED), Observed.CONFIRMED),
        ((Verdict.CONFORMS, Verdict.INCONCLUSIVE), Observed.CONFIRMED),
        ((Verdict.CONFORMS, Verdict.VIOLATES), Observed.CONTRADICTED),
        ((Verdict.KNOWN_VIOLATION,), Observed.CONTRADICTED),
        ((Verdict.INCONCLUSIVE, Verdict.NOT_RUN), Observed.NOT_OBSERVED),
        ((Verdict.UNSUPPORTED,), Observed.NOT_OBSERVED),
        ((), Observed.NOT_OBSERVED),
    ],
)
def test_a_capability_is_observed_through_the_checks_that_need_it(
    verdicts: tuple[Verdict, ...], observed: Observed, make_result: MakeResult
) -> None:
    results = [make_result(f"a/{n}", verdict, "r", Capability.RETRY) for n, verdict in enumerate(verdicts)]
    (row,) = observe({Capability.RETRY: Claim(supported=True, source="https://a.example/")}, results)
    assert (row.name, row.claimed, row.observed) == ("retry", True, observed)


def test_a_capability_that_is_needed_but_not_claimed_has_a_row(make_result: MakeResult) -> None:
    (row,) = observe({}, [make_result("a/b", Verdict.UNSUPPORTED, "r", Capability.CA_OUTAGE)])
    assert (row.name, row.claimed) == ("ca-outage", False)


def test_a_contradiction_names_the_checks(sample: Report) -> None:
    found = {item.capability.name: [r.id for r in item.results] for item in views.contradictions(sample)}
    assert found == {
        "strict-mtls": ["mtls/expired-certificate-is-refused"],
        "retry": ["retry/no-retry-on-success"],
    }


def test_the_score_has_judged_checks_only(sample: Report) -> None:
    assert views.score(sample) == views.Score(conforming=5, judged=7, unjudged=2)
    assert "1 fact recorded (MAY)" in views.beside(sample)
    assert "1 unsupported" in views.beside(sample)


def test_a_run_without_a_judged_check_knows_nothing(make_report: MakeReport, make_result: MakeResult) -> None:
    report = make_report(make_result("a/b", Verdict.UNSUPPORTED, "r"), make_result("a/c", Verdict.INCONCLUSIVE, "r"))
    assert "Nothing is known" in views.headline(report)


def test_a_fact_is_not_a_judgement(make_report: MakeReport, make_result: MakeResult) -> None:
    report = make_report(make_result("a/b", Verdict.CONFORMS, "r", level=Level.MAY))
    assert views.score(report).sentence == "nothing conclusive"


def test_defects_are_found_for_the_whole_check_or_for_its_parameters(make_report: MakeReport) -> None:
    report = make_report(defects={"a/b": ("whole",), "a/b[x]": ("one",)})
    assert views.defects(report, "a/b[x]") == ("one",)
    assert views.defects(report, "a/b[y]") == ("whole",)
    assert views.defects(report, "a/c") == ()


def test_the_template_engine_is_loaded_only_to_render() -> None:
    modules = ("model", "views", "formats.terminal", "baseline", "evidence", "formats.badge")
    imports = "; ".join(f"import pytest_meshcheck.report.{name}" for name in modules)
    program = f"import sys; {imports}; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("form", ["native sidecars", msgspec.UNSET])
def test_the_form_of_data_planes_is_told_where_there_are_several(make_report: MakeReport, form: str) -> None:
    report = make_report(data_planes=form)
    assert views.where(report) == ["local processes", *([form] if form else [])]
    assert ('"data_planes"' in encode(report).decode()) is bool(form)
    assert writer.without_secrets(report).data_planes == form
