"""The doctor's findings in a report: all of them in the pages, the errors in the terminal, none where others read."""

import msgspec

from pytest_meshcheck.report.anonymise import without_machine
from pytest_meshcheck.report.formats import html, markdown, terminal
from pytest_meshcheck.report.model import Report, encode
from pytest_meshcheck.report.views import limits

TALLY = "1 error, 1 warning, 1 fact"


def test_the_pages_have_all_of_them(sample: Report) -> None:
    for page in (html.render(sample), markdown.render(sample)):
        assert TALLY in page
        for text in (
            "workload shop/web",
            "PeerAuthentication shop/old",
            "Deployment mesh/istiod",
            "restart the workload",
        ):
            assert text in page


def test_a_source_that_is_no_web_address_is_no_link(sample: Report) -> None:
    assert 'href="javascript' not in html.render(sample)
    assert "(javascript" not in markdown.render(sample)


def test_the_terminal_has_their_number_and_the_errors(sample: Report) -> None:
    lines = [text for text, _ in terminal.lines(sample, None)]
    assert f"meshcheck doctor, before the run: {TALLY}" in lines
    assert [line for line in lines if line.startswith("  ERROR  workload shop/web: 2 of its pods")]
    assert not [line for line in lines if "PeerAuthentication" in line]


def test_a_report_without_them_does_not_mention_the_doctor(sample: Report) -> None:
    without = msgspec.structs.replace(sample, doctor=msgspec.UNSET)
    assert b"doctor" not in encode(without)
    assert "doctor" not in html.render(without) + markdown.render(without)
    assert not [text for text, _ in terminal.lines(without, None) if "doctor" in text]


def test_the_limits_of_a_run_say_who_examined_the_rest(sample: Report) -> None:
    assert limits(sample).endswith("was examined by meshcheck doctor only.")
    assert limits(msgspec.structs.replace(sample, doctor=msgspec.UNSET)).endswith("was not examined.")


def test_they_are_not_published(sample: Report) -> None:
    assert without_machine(sample).doctor is msgspec.UNSET


def test_a_report_is_read_as_it_was_written(sample: Report) -> None:
    assert msgspec.json.decode(encode(sample), type=Report).doctor == sample.doctor
