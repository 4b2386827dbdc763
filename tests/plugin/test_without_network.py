"""A run with charts, values, images and wheels of one's own, for which nothing is fetched."""

import base64
import hashlib
import json
import re
import shlex
import zipfile
from pathlib import Path

import pytest

from pytest_meshcheck.platforms.containers import PROVIDER
from pytest_meshcheck.platforms.kind.probe_image import requirements
from tests.programs import Programs

from .conftest import Quick, Suite

CHARTS = ("base", "istiod")


@pytest.fixture
def charted(suite: Suite, programs: Programs) -> Suite:
    """A project with the charts of Istio."""
    programs.add("helm", "echo v3.19.5")
    suite.write("conforms")
    for chart in CHARTS:
        folder = suite.path / "charts" / "1.30.3" / chart
        folder.mkdir(parents=True)
        (folder / "Chart.yaml").write_text(f"apiVersion: v2\nname: {chart}\nversion: 1.0.0\nappVersion: 1.0.0\n")
    return suite


def test_values_for_a_chart_that_is_not_there(charted: Suite, quick: Quick) -> None:
    (charted.path / "values.yaml").write_text("{istio-base: {a: 1}, ztunnel: {}, '*': {}, istiodd: {}}")
    result = quick("--mesh=istio", "--mesh-charts=charts", "--mesh-values=values.yaml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = "no chart 'istio-base', 'istiodd'; available: base, cni, istiod, ztunnel, and '[*]' for every chart"
    result.stderr.fnmatch_lines([f"ERROR: --mesh-values: values.yaml: {said}"])


PAGE = (Path(__file__).parents[2] / "docs" / "air-gapped.md").read_text()
(COMMAND,) = re.findall(r"^```\n(pytest [^`]*--mesh-charts=charts [^`]*)^```", PAGE, re.MULTILINE)
(VALUES,) = re.findall(r"^```yaml\n(# values.yaml:.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
ARGUMENTS = shlex.split(COMMAND.replace("\\\n", " "))[1:]
BASE = "registry.example/python:3.11-slim"
INSPECTED = json.dumps([{"Architecture": "amd64"}])
KIND = """case $1 in
  version) echo kind v0.30.0;;
  create) echo ERROR: as far as it is to go >&2; exit 1;;
esac"""
PODMAN = f"""case "$1 $2 $3" in
  "run "*) echo 3.11;;
  "image inspect {BASE}") echo '{INSPECTED}';;
  "image inspect "*) exit 1;;
esac"""


def wheel(folder: Path, name: str, version: str) -> None:
    """A package with nothing in it."""
    about = f"{name}-{version}.dist-info"
    files = {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        lines = []
        for path, text in files.items():
            archive.writestr(path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            lines.append(f"{path},sha256={digest},{len(text)}")
        archive.writestr(f"{about}/RECORD", "\n".join([*lines, f"{about}/RECORD,,"]))


@pytest.fixture
def airgapped(charted: Suite, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """All that the command on the page names; kind fails as soon as it is to make a cluster."""
    monkeypatch.setenv(PROVIDER, "podman")
    monkeypatch.setenv("XDG_STATE_HOME", str(charted.path / "state"))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9")
    programs.add("kind", KIND)
    programs.add("podman", PODMAN)
    (charted.path / "values.yaml").write_text(VALUES)
    (charted.path / "wheels").mkdir()
    for requirement in requirements():
        wheel(charted.path / "wheels", *requirement.split("=="))
    return charted


def test_the_command_on_the_page_is_taken_as_it_stands(airgapped: Suite, quick: Quick, programs: Programs) -> None:
    result = quick(*ARGUMENTS)
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines(["*kind cannot create the cluster meshcheck-*: ERROR: as far as it is to go*"])
    (created,) = [call for call in programs.called() if call.startswith("kind create cluster ")]
    assert created.endswith("--image registry.example/kindest/node:v1.34.4")
    assert any(call.startswith("podman build ") for call in programs.called())


def packages_refused(result: pytest.RunResult, programs: Programs, said: str) -> None:
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {said}"])
    assert not [call for call in programs.called() if "create" in call or "build" in call]


def test_a_wheel_that_is_missing_is_named(airgapped: Suite, quick: Quick, programs: Programs) -> None:
    for path in (airgapped.path / "wheels").glob("h11-*"):
        path.unlink()
    said = "wheels does not have the packages of the probe image for Python 3.11 on *: *h11==*; run *manylinux_2_17_*"
    packages_refused(quick(*ARGUMENTS), programs, said)


def test_without_an_index_wheels_are_asked_for(airgapped: Suite, quick: Quick, programs: Programs) -> None:
    said = "the package index does not have *--mesh-probe-wheels=DIR, or name a built probe image *"
    arguments = [argument for argument in ARGUMENTS if "wheels" not in argument]
    packages_refused(quick(*arguments), programs, said)
