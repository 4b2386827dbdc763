"""Where charts are found; that helm takes what was found for a chart is asked of the real one."""

import functools
import http.server
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.platforms.helm.charts import Charts

NOWHERE = "https://charts.invalid"

real_helm = pytest.mark.skipif(shutil.which("helm") is None, reason="needs helm on the PATH")


def unpacked(folder: Path, name: str, version: str, app: str = "") -> Path:
    """A chart as a folder."""
    folder.mkdir(parents=True)
    about = f"apiVersion: v2\nname: {name}\nversion: {version}\n"
    (folder / "Chart.yaml").write_text(about + (f"appVersion: {app}\n" if app else ""))
    return folder


def packed(folder: Path, name: str, version: str, app: str = "") -> None:
    """A chart as helm packs it."""
    source = unpacked(folder.parent / f"source-{name}-{version}" / name, name, version, app)
    subprocess.run(["helm", "package", source, "--destination", folder], check=True, capture_output=True)


def taken_by_helm(arguments: tuple[str, ...]) -> str:
    shown = subprocess.run(["helm", "show", "chart", *arguments], check=True, capture_output=True, text=True)
    return shown.stdout


@pytest.mark.parametrize("folder", [".", "1.2.3", "v1.2.3", "edge"])
@pytest.mark.parametrize("wanted", ["1.2.3", "v1.2.3"])
@real_helm
def test_every_layout_of_a_directory(tmp_path: Path, folder: str, wanted: str) -> None:
    charts = tmp_path / "charts" / folder
    unpacked(charts / "loose", "loose", "1.2.3")
    packed(charts, "tight", "1.2.3")
    packed(charts, "tight-fit", "1.2.3")
    place = Charts(NOWHERE, str(tmp_path / "charts"))
    for name in ("loose", "tight", "tight-fit"):
        source = place.resolve(name, wanted)
        assert (source.chart, source.version) == (name, "1.2.3")
        assert f"name: {name}\n" in taken_by_helm(source.arguments)


@real_helm
def test_a_directory_relative_to_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked(tmp_path / "charts" / "tiny", "tiny", "1.2.3")
    monkeypatch.chdir(tmp_path)
    assert "name: tiny" in taken_by_helm(Charts(NOWHERE, "charts").resolve("tiny", "1.2.3").arguments)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("2026.8.3", "2026.8.3"),
        ("edge-26.8.3", "2026.8.3"),
        ("edge-26.6.3", "2026.6.3"),
        ("stable", "2026.6.3"),
        ("1.19.0", "1.19.0"),
        ("v1.19.0", "1.19.0"),
        ("1.18.0", "v1.18.0"),
    ],
)
def test_a_version_is_that_of_the_chart_or_of_what_it_installs(tmp_path: Path, wanted: str, found: str) -> None:
    unpacked(tmp_path / "a" / "tiny", "tiny", "2026.8.3", "edge-26.8.3")
    unpacked(tmp_path / "stable" / "tiny", "tiny", "2026.6.3", "edge-26.6.3")
    unpacked(tmp_path / "b" / "tiny", "tiny", "1.19.0", "1.19.0")
    unpacked(tmp_path / "c" / "tiny", "tiny", "v1.18.0", "1.17.0")
    assert Charts(NOWHERE, str(tmp_path)).resolve("tiny", wanted).version == found


def test_a_source_tree_installs_what_its_folder_says(tmp_path: Path) -> None:
    for release in ("1.29.6", "1.30.3"):
        unpacked(tmp_path / release / "tiny", "tiny", "1.0.0", "1.0.0")
    charts = Charts(NOWHERE, str(tmp_path))
    for release in ("1.29.6", "1.30.3"):
        source = charts.resolve("tiny", release)
        assert source.installs == release
        assert source.arguments == (str(tmp_path / release / "tiny"),)
        assert charts.resolve("tiny", source.installs) == source


@pytest.mark.parametrize(
    ("folder", "version", "app", "installs"),
    [
        ("1.30.3", "1.30.3", "1.30.3", "1.30.3"),
        ("2026.8.3", "2026.8.3", "edge-26.8.3", "edge-26.8.3"),
        ("edge-26.8.3", "0.0.0", "", "edge-26.8.3"),
        ("v1.30.3", "1.0.0", "1.0.0", "1.30.3"),
        ("staging", "1.0.0", "1.0.0", "1.0.0"),
        ("staging", "1.0.0", "", "1.0.0"),
    ],
)
def test_what_a_chart_installs(tmp_path: Path, folder: str, version: str, app: str, installs: str) -> None:
    unpacked(tmp_path / folder / "tiny", "tiny", version, app)
    assert Charts(NOWHERE, str(tmp_path)).resolve("tiny", folder).installs == installs


def test_a_chart_is_found_by_how_its_version_is_spelt(tmp_path: Path) -> None:
    unpacked(tmp_path / "a" / "tiny", "tiny", "2026.8.3")
    unpacked(tmp_path / "edge-26.6.3" / "tiny", "tiny", "0.0.0")
    charts = Charts(NOWHERE, str(tmp_path))
    assert charts.resolve("tiny", "edge-26.8.3", "2026.8.3").version == "2026.8.3"
    assert charts.resolve("tiny", "edge-26.6.3", "2026.6.3").installs == "edge-26.6.3"


def test_the_version_of_a_chart_comes_first(tmp_path: Path) -> None:
    unpacked(tmp_path / "a" / "tiny", "tiny", "3.0.0", "2.0.0")
    unpacked(tmp_path / "b" / "tiny", "tiny", "2.0.0", "1.0.0")
    assert Charts(NOWHERE, str(tmp_path)).resolve("tiny", "2.0.0").version == "2.0.0"


def refusal(charts: Charts, name: str, version: str) -> str:
    with pytest.raises(MeshUnavailable) as raised:
        charts.resolve(name, version)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_version_that_is_not_there(tmp_path: Path) -> None:
    for version in ("1.9.0", "1.10.0", "1.10.0-rc.1"):
        unpacked(tmp_path / version / "tiny", "tiny", version)
    unpacked(tmp_path / "x" / "tiny", "tiny", "2026.8.3", "edge-26.8.3")
    assert refusal(Charts(NOWHERE, str(tmp_path)), "tiny", "3.0.0") == (
        f"{tmp_path} has no version '3.0.0' of the chart tiny; available: 2026.8.3 (edge-26.8.3), 1.10.0, 1.10.0-rc.1, "
        "1.9.0: name one with --mesh=NAME@VERSION, or another place with --mesh-charts=DIR"
    )


def test_many_versions_are_not_all_listed(tmp_path: Path) -> None:
    for number in range(30):
        unpacked(tmp_path / f"1.{number}.0" / "tiny", "tiny", f"1.{number}.0")
    said = refusal(Charts(NOWHERE, str(tmp_path)), "tiny", "3.0.0")
    assert "available: 1.29.0, 1.28.0, " in said
    assert "1.18.0 and 18 older ones: " in said


def test_a_chart_that_is_not_there(tmp_path: Path) -> None:
    unpacked(tmp_path / "tiny", "tiny", "1.2.3")
    assert "has no chart 'tony'; it has tiny: check --mesh-charts" in refusal(
        Charts(NOWHERE, str(tmp_path)), "tony", "1.2.3"
    )


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    said = refusal(Charts(NOWHERE, str(tmp_path / "none")), "tiny", "1.2.3")
    assert said == f"no directory {tmp_path / 'none'} with charts: check --mesh-charts"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("tiny-1.2.3.tgz", b"no archive"),
        ("tiny/Chart.yaml", b"name: [tiny\n"),
        ("tiny/Chart.yaml", b"- tiny\n"),
        ("tiny/Chart.yaml", b"name: tiny\n"),
        ("tiny/Chart.yaml", b"\xff\xfe\x00"),
    ],
)
def test_a_broken_chart_is_named(tmp_path: Path, file: str, content: bytes) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    said = refusal(Charts(NOWHERE, str(tmp_path)), "tiny", "1.2.3")
    assert said.startswith(f"the chart {path} cannot be read: ")


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A web server that does not log."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a chart repository; helm keeps what it remembers of it out of the way."""
    for kind in ("CACHE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"HELM_{kind}_HOME", str(tmp_path / kind))
    folder = tmp_path / "repository"
    folder.mkdir()
    packed(folder, "tiny", "2026.8.3", "edge-26.8.3")
    packed(folder, "tiny", "2026.8.4-rc.1", "edge-26.8.4")
    packed(folder, "other", "1.2.3")
    subprocess.run(["helm", "repo", "index", folder], check=True, capture_output=True)
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@real_helm
def test_a_repository(repository: str) -> None:
    charts = Charts(repository)
    for wanted in ("2026.8.3", "v2026.8.3", "edge-26.8.3"):
        source = charts.resolve("tiny", wanted)
        assert source.arguments == ("tiny", "--repo", repository, "--version", "2026.8.3")
        assert "version: 2026.8.3" in taken_by_helm(source.arguments)
    assert "version: 2026.8.4-rc.1" in taken_by_helm(charts.resolve("tiny", "2026.8.4-rc.1").arguments)
    assert "available: 2026.8.4-rc.1 (edge-26.8.4), 2026.8.3 (edge-26.8.3): " in refusal(charts, "tiny", "1.0.0")
    assert "has no chart 'tony'; it has other, tiny: " in refusal(charts, "tony", "1.0.0")


@real_helm
def test_a_repository_leaves_nothing_in_the_configuration_of_the_user(repository: str, tmp_path: Path) -> None:
    Charts(repository).resolve("tiny", "2026.8.3")
    assert not list((tmp_path / "CONFIG").rglob("repositories.yaml"))


@real_helm
def test_a_place_that_is_no_repository(tmp_path: Path) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        url = f"http://127.0.0.1:{server.server_port}"
    said = refusal(Charts(NOWHERE, url), "tiny", "1.2.3")
    assert said.startswith(f"the chart repository {url} cannot be read: ")
    assert said.endswith("or name a directory that has the charts with --mesh-charts=DIR")


REGISTRY = """#!/bin/sh
case "$*" in
  "show chart oci://registry.invalid/charts/tiny --version v1.2.3")
    printf 'name: tiny\\nversion: v1.2.3\\nappVersion: 1.2.0\\n';;
  *) echo "Error: $5: not found" >&2; exit 1;;
esac
"""


def test_a_registry_knows_a_version_with_or_without_a_v(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "helm"
    program.write_text(REGISTRY)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    charts = Charts("oci://registry.invalid/charts/")
    source = charts.resolve("tiny", "1.2.3")
    assert source.arguments == ("oci://registry.invalid/charts/tiny", "--version", "v1.2.3")
    assert (source.version, source.app_version) == ("v1.2.3", "1.2.0")
    assert "oci://registry.invalid/charts/tiny in version '1.2.4': 1.2.4: not found; " in refusal(
        charts, "tiny", "1.2.4"
    )
