"""The pages, as text and as Chromium shows them."""

import html as escaping
import json
import re
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_meshcheck.__main__ import main
from pytest_meshcheck.checks.verdict import Result, Verdict
from pytest_meshcheck.report import matrix
from pytest_meshcheck.report.formats import html
from pytest_meshcheck.report.formats.verdicts import LOOKS
from pytest_meshcheck.report.formats.words import duration
from pytest_meshcheck.report.model import MeshVersion, Report, encode

MakeResult = Callable[..., Result]
MakeReport = Callable[..., Report]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
Chromium = Callable[..., str]


@pytest.fixture
def chromium(tmp_path: Path) -> Chromium:
    """Runs Chromium with flags and a page, and returns what it prints."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"no Chromium on PATH (looked for {', '.join(BROWSERS)})")

    def run(page: Path, *flags: str) -> str:
        command = [program, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", *flags, page.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout

    return run


MEASURE = """
const results = {};
const frames = [...document.querySelectorAll("iframe")];
let left = frames.length;
const measure = frame => {
  const page = frame.contentDocument, root = page.documentElement;
  const shown = () => [...page.querySelectorAll(".family tbody tr")].filter(r => r.getClientRects().length).length;
  const closed = root.scrollWidth;
  page.querySelectorAll("details").forEach(d => d.open = true);
  const filters = {};
  page.querySelectorAll(".filters input").forEach(i => { i.checked = true; filters[i.id] = shown(); });
  results[frame.width] = {client: root.clientWidth, closed, open: root.scrollWidth, filters,
    right: Math.max(...[...page.querySelectorAll("th, td")].map(cell => cell.getBoundingClientRect().right)),
    scripts: page.scripts.length, images: page.images.length};
  if (--left) return;
  document.body.innerHTML = "<pre id=results></pre>";
  document.body.firstChild.textContent = JSON.stringify(results);
};
const there = page => page.URL === "about:srcdoc" && page.readyState === "complete";
for (const frame of frames) {
  if (there(frame.contentDocument)) measure(frame);
  else frame.onload = () => measure(frame);
}
"""


def look(chromium: Chromium, page: str, directory: Path, widths: tuple[int, ...] = (320, 360, 768, 1280)) -> dict:
    """Show a page in frames of several widths and measure each."""
    content = escaping.escape(page)
    frames = "".join(f'<iframe width="{width}" height="800" srcdoc="{content}"></iframe>' for width in widths)
    viewer = directory / "viewer.html"
    viewer.write_text(f'<!doctype html><meta charset="utf-8"><body>{frames}<script>{MEASURE}</script></body>')
    dom = chromium(viewer, "--window-size=1400,900", "--virtual-time-budget=5000", "--dump-dom")
    found = re.search(r'<pre id="results">(.*?)</pre>', dom, re.DOTALL)
    assert found, dom[-2000:]
    return json.loads(escaping.unescape(found[1]))


def test_no_width_needs_sideways_scrolling(sample: Report, chromium: Chromium, tmp_path: Path) -> None:
    for width, seen in look(chromium, html.render(sample), tmp_path).items():
        assert seen["closed"] <= seen["client"], width
        assert seen["open"] <= seen["client"], width


def test_all_columns_of_six_meshes_are_in_sight(sample: Report, chromium: Chromium, tmp_path: Path) -> None:
    page = matrix.to_html(matrix.merge([sample] * 6)).decode()
    for width, seen in look(chromium, page, tmp_path).items():
        assert seen["closed"] <= seen["client"], width
        assert seen["right"] <= seen["client"], width


def test_the_filters_show_one_verdict(sample: Report, chromium: Chromium, tmp_path: Path) -> None:
    seen = look(chromium, html.render(sample), tmp_path, (1280,))["1280"]
    shown = {name: number for name, number in seen["filters"].items() if name}
    assert shown == {
        f"only-{verdict}": sum(result.verdict is verdict for result in sample.results) for verdict in Verdict
    }


def test_hostile_text_makes_no_element(sample: Report, chromium: Chromium, tmp_path: Path) -> None:
    seen = look(chromium, html.render(sample), tmp_path, (360,))["360"]
    assert (seen["scripts"], seen["images"]) == (0, 0)


@pytest.mark.parametrize("size", [(500, 800), (1280, 800)])
def test_the_page_can_be_drawn(size: tuple[int, int], sample: Report, chromium: Chromium, tmp_path: Path) -> None:
    page, picture = tmp_path / "report.html", tmp_path / "page.png"
    page.write_text(html.render(sample))
    chromium(page, f"--window-size={size[0]},{size[1]}", f"--screenshot={picture}")
    image = picture.read_bytes()
    assert struct.unpack(">II", image[16:24]) == size
    assert len(image) > 10_000, "a blank page is a smaller picture"


@pytest.mark.parametrize("verdict", Verdict)
def test_the_page_has_every_verdict(verdict: Verdict, sample: Report) -> None:
    page = html.render(sample)
    assert f'<span class="chip {verdict}">{LOOKS[verdict].word}</span>' in page
    assert f'<tr class="{verdict}"' in page


def test_the_page_escapes_everything(make_report: MakeReport, make_result: MakeResult, hostile: str) -> None:
    texts = ("requirement", "description", "expected", "actual", "reason", "link", "evidence", "reproduce")
    hostile_result = make_result(
        f"a/{hostile}", Verdict.VIOLATES, "r", hostile, **dict.fromkeys(texts[1:], hostile), measured={hostile: hostile}
    )
    report = make_report(
        hostile_result, platform=hostile, started=hostile, meshcheck=hostile, mesh=MeshVersion(hostile, hostile)
    )
    page = html.render(report)
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page


def test_the_page_needs_nothing_from_elsewhere(sample: Report) -> None:
    page = html.render(sample)
    assert not re.search(r"<(?:script|link|iframe|object|embed)\b|\bsrc=|@import|url\(", page.replace("src=x", ""))
    assert "default-src 'none'" in page


def test_the_matrix_needs_nothing_from_elsewhere(sample: Report) -> None:
    page = matrix.to_html(matrix.merge([sample, sample])).decode()
    assert not re.search(r"<(?:script|link|iframe|object|embed|img)\b|\bsrc=|@import|url\(", page)
    assert "default-src 'none'" in page


def test_every_cell_of_the_matrix_has_a_sign_and_its_word_on_demand(sample: Report) -> None:
    page = matrix.to_html(matrix.merge([sample])).decode()
    for result in sample.results:
        look_ = LOOKS[result.verdict]
        assert f'<span class="sign {result.verdict}" title="{look_.word}">' in page
        assert f"<li>envoy 1.40.0: {look_.word}</li>" in page


def test_no_address_but_one_of_the_web_becomes_a_link(sample: Report) -> None:
    links = re.findall(r'href="([^"]*)"', html.render(sample))
    assert links
    assert not [link for link in links if re.match(r"(?!https?:)[a-z]+:", link)]


def test_the_page_links_within_itself(sample: Report) -> None:
    page = html.render(sample)
    targets = set(re.findall(r'href="#([^"]*)"', page))
    assert targets
    assert targets <= set(re.findall(r'id="([^"]*)"', page))


def test_the_page_tells_all_of_a_check(sample: Report) -> None:
    page = html.render(sample)
    for expected in (
        "<h1>envoy 1.40.0</h1>",
        "local processes",
        "2026-03-01 14:05 UTC",
        "envoy 1.40.0 violates 2 of 7 conclusive checks, 1 of them known.",
        "A peer whose certificate is expired MUST be refused.",
        'href="https://www.rfc-editor.org/rfc/rfc5280#section-6.1.3"',
        'href="mtls/expired-certificate-is-refused/"',
        "client certificate not required; only the first strict port strict",
        "policy acts after (s): 0.0042",
        "<blockquote>STRICT: Connection is an mTLS tunnel (TLS with client cert must be presented).</blockquote>",
        "<blockquote>STRICT: Connection is an mTLS tunnel. <cite>"
        '<a href="https://istio.io/latest/docs/reference/config/security/" rel="noreferrer">'
        "Istio: PeerAuthentication</a></cite></blockquote>",
        "under <code>permissive</code>",
    ):
        assert expected in page


def test_an_interrupted_run_says_so_once(make_report: MakeReport) -> None:
    page = html.render(make_report(complete=False))
    assert page.partition("<body>")[2].count("The run was interrupted") == 1


def test_contradicted_claims_share_a_card(sample: Report) -> None:
    section = html.render(sample).partition('<section id="contradictions">')[2].partition("</section>")[0]
    assert (section.count("<article"), section.count("<dt>")) == (1, 2)


def test_a_run_without_results_has_a_page(make_report: MakeReport) -> None:
    assert "no check was conclusive" in html.render(make_report())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0004, "0.4 ms"),
        (0.002, "2 ms"),
        (0.24, "240 ms"),
        (3.21, "3.2 s"),
        (99.96, "1 min 40 s"),
        (125, "2 min 05 s"),
    ],
)
def test_durations_are_readable(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_matrix_sets_runs_side_by_side(
    sample: Report, make_report: MakeReport, make_result: MakeResult, tmp_path: Path
) -> None:
    other = make_report(
        make_result("mtls/expired-certificate-is-refused", Verdict.CONFORMS, "mtls.lifetime"),
        mesh=MeshVersion("acme", "2"),
    )
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, report in zip(paths, (sample, other), strict=True):
        path.write_bytes(encode(report))
    assert main(["report", *map(str, paths), "--output", str(tmp_path / "out")]) == 0
    merged = json.loads((tmp_path / "out" / "matrix.json").read_text())
    verdicts = {row["id"]: row["verdicts"] for row in merged["checks"]}
    assert verdicts["mtls/expired-certificate-is-refused"] == ["violates", "conforms"]
    assert verdicts["timeout/covers-all-attempts"] == ["fixed", None]
    assert [found["capability"] for found in merged["contradictions"]] == ["strict-mtls", "retry"]
    page = (tmp_path / "out" / "matrix.html").read_text()
    assert page.index("expired-certificate-is-refused</code> <span") < page.index("Claims contradicted by checks")
    assert "| `mtls/expired-certificate-is-refused` | ❌ | ✅ |" in (tmp_path / "out" / "matrix.md").read_text()


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file"), ("{", "not JSON"), ('{"schema": "9"}', "version '9'")]
)
def test_bad_input_is_one_line_and_exit_code_4(
    content: str | None, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "report.json"
    if content is not None:
        path.write_text(content)
    assert main(["report", str(path), "--output", str(tmp_path / "out")]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert str(path) in line
    assert reason in line
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written_is_one_line(
    sample: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "report.json").write_bytes(encode(sample))
    assert main(["report", str(tmp_path / "report.json"), "--output", str(tmp_path / "report.json" / "x")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
