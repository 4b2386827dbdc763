"""What Istio's charts are given, and which version that makes of it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_meshcheck.meshes.istio.ambient import AmbientMesh
from pytest_meshcheck.meshes.istio.mesh import IstioMesh
from pytest_meshcheck.meshes.istio.revisions import released
from pytest_meshcheck.meshes.registry import MeshRequest
from pytest_meshcheck.platforms.kubernetes.workloads.room import quantity
from tests.programs import Programs

IS_THERE = MeshRequest(None, 1.0, None, installed=True)  # type: ignore[arg-type]

PROXIES = {("istiod", "pilot"), ("istiod", "global.proxy"), ("istiod", "global.waypoint")}
NODES = {("cni", ""), ("ztunnel", "")}


def requests(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, str]]]:
    for key, value in values.items():
        if key == "requests":
            yield path.removesuffix("resources").strip("."), value
        elif isinstance(value, Mapping):
            yield from requests(value, f"{path}.{key}")


@pytest.mark.parametrize(("mesh", "parts"), [(IstioMesh, PROXIES), (AmbientMesh, PROXIES | NODES)])
def test_no_part_requests_more_than_a_laptop_gives(mesh: type[IstioMesh], parts: set[tuple[str, str]]) -> None:
    releases = mesh(IS_THERE).releases()
    found = {(release.chart, path): wanted for release in releases for path, wanted in requests(release.values)}
    assert set(found) == parts
    assert all(quantity(wanted["cpu"]) <= quantity("10m") for wanted in found.values())
    assert all(quantity(wanted["memory"]) <= quantity("128Mi") for wanted in found.values())


@pytest.mark.parametrize(
    ("tag", "version"),
    [
        ("1.30.3", "1.30.3"),
        ("1.30.3-distroless", "1.30.3"),
        ("v1.31.0-rc.0-debug", "1.31.0-rc.0"),
        ("latest", ""),
        ("", ""),
    ],
)
def test_the_version_that_a_tag_says(tag: str, version: str) -> None:
    assert released(tag) == version


@pytest.mark.parametrize(
    ("values", "version"),
    [
        ({}, "1.0.0"),
        ({"*": {"global": {"tag": "1.30.2"}}}, "1.30.2"),
        ({"*": {"global": {"tag": "1.30.2"}}, "istiod": {"global": {"tag": "1.30.3-distroless"}}}, "1.30.3"),
        ({"istiod": {"global": {"tag": "latest", "hub": "registry.example"}}}, "1.0.0"),
        ({"ztunnel": {"global": {"tag": "1.30.2"}}}, "1.0.0"),
    ],
)
def test_charts_of_a_source_tree_install_what_the_tag_of_the_images_says(
    tmp_path: Path, programs: Programs, values: Mapping[str, Mapping[str, Any]], version: str
) -> None:
    programs.add("helm", "echo v3.19.5")
    for chart in ("base", "istiod"):
        (tmp_path / "charts" / chart).mkdir(parents=True)
        (tmp_path / "charts" / chart / "Chart.yaml").write_text(f"name: {chart}\nversion: 1.0.0\nappVersion: 1.0.0\n")
    order = MeshRequest("1.0.0", 1.0, None, charts=str(tmp_path / "charts"), values=values)  # type: ignore[arg-type]
    assert IstioMesh(order).version == version
