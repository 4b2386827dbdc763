"""What the documents show is what there is."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from pytest_meshcheck import options
from pytest_meshcheck.checks.check_ids import known_ids
from pytest_meshcheck.checks.expectations import read_expectations
from pytest_meshcheck.meshes.cilium.mesh import CiliumMesh
from pytest_meshcheck.meshes.istio.ambient import AmbientMesh
from pytest_meshcheck.meshes.istio.mesh import IstioMesh
from pytest_meshcheck.meshes.linkerd.mesh import LinkerdMesh
from pytest_meshcheck.platforms.helm.values import overrides, read_values
from tests.falsify.clusters import RECORDS
from tests.falsify.table import OF_OTHER_PROMISES, SLOW, of_upgrade

ROOT = Path(__file__).resolve().parents[2]
PAGES = tuple(f"docs/{page.name}" for page in sorted((ROOT / "docs").glob("*.md")))
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "DEVELOPMENT.md", "ADAPTERS.md", *PAGES)
README_LINES = 200
PICTURE_BYTES = 150_000


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", [*blocks("DEVELOPMENT.md", "python"), *blocks("README.md", "python")])
def test_the_check_shown_is_one_of_the_suite(block: str) -> None:
    suite = [path.read_text() for path in (ROOT / "conformance").rglob("test_*.py")]
    assert any(block.strip() in source for source in suite)


@pytest.mark.parametrize("block", blocks("DEVELOPMENT.md", "toml"))
def test_the_requirement_or_alias_shown_is_one_of_the_suite(block: str) -> None:
    files = [*(ROOT / "conformance").rglob("requirements.toml"), ROOT / "conformance" / "suite.toml"]
    assert any(block.strip() in path.read_text() for path in files)


@pytest.mark.parametrize("block", blocks("docs/options.md", "toml"))
def test_the_expectations_shown_can_be_read(block: str, tmp_path: Path) -> None:
    (tmp_path / "known.toml").write_text(block)
    assert read_expectations(tmp_path / "known.toml", known_ids(ROOT / "conformance"))


def test_every_option_is_documented_with_its_default() -> None:
    rows = dict(
        re.findall(r"^\| `(--mesh[a-z-]*)` \|.*\| (.*) \|$", (ROOT / "docs/options.md").read_text(), re.MULTILINE)
    )
    assert set(rows) == {option.flag for option in options.OPTIONS}
    for option in options.OPTIONS:
        default = option.default
        if isinstance(default, float):
            default = f"{default:g}"
        assert not default or f"`{default}`" in rows[option.flag], option.flag


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_to_files_lead_somewhere(document: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)", (ROOT / document).read_text())
    folder = (ROOT / document).parent
    assert [target for target, _ in links if not (folder / target).exists()] == []
    sections = [(folder / target if target else ROOT / document, anchor) for target, anchor in links if anchor]
    assert [(page.name, anchor) for page, anchor in sections if anchor not in anchors(page)] == []


def anchors(page: Path) -> set[str]:
    """The anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {"#" + re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES


@pytest.mark.parametrize("document", ["README.md", "docs/kubernetes.md"])
def test_what_a_cluster_run_needs_of_the_machine_is_said(document: str) -> None:
    assert "two cores and 2 gib of free memory" in " ".join((ROOT / document).read_text().lower().split())


def modules_named() -> list[tuple[str, str]]:
    """Each module or folder that the tables of ARCHITECTURE.md name, after the folder in which it lies.

    What follows a colon is a description, unless the colon follows a folder: then it is what lies there.
    """
    tables = re.findall(r"^\|---.*\n((?:\|.*\n)+)", (ROOT / "ARCHITECTURE.md").read_text(), re.MULTILINE)
    rows = re.findall(r"^\| (.*?) \| (.*) \|$", "".join(tables), re.MULTILINE)
    named = []
    for first, cells in rows:
        home = first.strip("`") if first.endswith("/`") else ""
        for phrase in re.split(r"; | \| ", cells if home else cells.partition(" | ")[0]):
            described = phrase if "/`: " in phrase else phrase.partition(": ")[0]
            named += [(home, name) for name in re.findall(r"`([a-z_/]+)`", described)]
    return named


def test_every_module_that_the_architecture_names_is_a_file() -> None:
    package, named = Path(options.__file__).parent, modules_named()
    assert {("", "plugin"), ("testbed/", "lock"), ("testbed/", "applied"), ("platforms/", "api/")} <= set(named)
    missing = [
        f"{home}{name}"
        for home, name in named
        if not any((package / home).rglob(name if name.endswith("/") else f"{name}.py"))
    ]
    assert missing == []


def test_every_page_is_linked_from_the_readme() -> None:
    assert [page for page in PAGES if f"]({page})" not in (ROOT / "README.md").read_text()] == []


def test_the_picture_of_a_report_is_small() -> None:
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", (ROOT / "README.md").read_text())
    assert pictures
    assert all((ROOT / picture).stat().st_size < PICTURE_BYTES for picture in pictures)


def test_the_readme_commands_are_what_ci_runs() -> None:
    commands = [block.strip() for block in blocks("README.md", "console") if block.startswith("pip install")]
    script = (ROOT / ".ci" / "run").read_text()
    assert len(commands) == 2
    for command in commands:
        install, _, run = command.partition(" && ")
        assert install in script, install
        assert re.search(rf"\b{re.escape(run)}\b", script), run


def counted(text: str) -> dict[str, int]:
    """How many verdicts each family has in the summary that a document shows; those not asked for have none."""
    rows = re.findall(r"^([a-z]+)((?: +\d+ [a-z]+(?: [a-z]+){0,2})+)$", text, re.MULTILINE)
    return {family: sum(map(int, re.findall(r"(\d+) (?!not asked for)", tally))) for family, tally in rows}


def recorded(collected: str) -> int:
    """How many of the collected items record a fact (MAY) without a cluster, and so do not count in the score."""
    sources = "".join(path.read_text() for path in (ROOT / "conformance").rglob("test_*.py"))
    may = set(re.findall(r"@check\(\s*MAY,(?:(?!@check).)*?async def (test_\w+)", sources, re.DOTALL))
    other = {f"test_{check.partition('/')[2].replace('-', '_')}" for check in (*OF_OTHER_PROMISES, *RECORDS)}
    return sum(name in may - other for name in re.findall(r"::(test_\w+)", collected))


def test_the_output_shown_has_the_checks_that_there_are() -> None:
    (shown,) = [block for block in blocks("README.md", "console") if "mesh conformance:" in block]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "--mesh=envoy"]
    collected = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True).stdout
    assert counted(shown) == Counter(re.findall(r"^conformance/(\w+)/", collected, re.MULTILINE))
    words = ("conform  ", "known", "recorded")
    conform, known, facts = (sum(map(int, re.findall(rf" +(\d+) {verdict}", shown))) for verdict in words)
    assert facts == recorded(collected)
    assert f"score: {conform}/{conform + known} conform." in shown


def test_the_number_of_checks_is_what_there_is() -> None:
    embedded = [check for check in known_ids(ROOT / "conformance") - SLOW if not of_upgrade(check)]
    assert f"runs {len(embedded)} checks" in " ".join((ROOT / "README.md").read_text("utf-8").split())


def test_every_check_of_the_first_wave_is_there() -> None:
    assert len(known_ids(ROOT / "conformance")) >= 34


INSTALLED = {"istio": IstioMesh, "istio-ambient": AmbientMesh, "linkerd": LinkerdMesh, "cilium": CiliumMesh}


@pytest.mark.parametrize("name", INSTALLED)
def test_the_version_that_is_installed_is_documented(name: str) -> None:
    rows = re.findall(rf"^\| `{name}`[^|]* \| ([^|]*) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert INSTALLED[name].newest in rows[0].split()


@pytest.mark.parametrize("block", [*blocks("docs/air-gapped.md", "yaml"), *blocks("docs/kubernetes.md", "yaml")])
def test_the_values_shown_can_be_read(block: str, tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text(block)
    assert overrides(read_values(tmp_path / "values.yaml"), "istiod")


def test_messages_write_an_option_and_its_value_with_an_equals_sign() -> None:
    package = Path(options.__file__).parent
    lines = [(path.name, line) for path in package.rglob("*.py") for line in path.read_text().splitlines()]
    assert [(name, line.strip()) for name, line in lines if re.search(r"--[a-z-]+ \{", line)] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_commands_shown_have_options_that_exist(document: str) -> None:
    used = set(re.findall(r"--mesh(?:-[a-z]+)*\b", (ROOT / document).read_text()))
    assert used <= {option.flag for option in options.OPTIONS} | {"--mesh-list"}
