"""``docs/doctor.md`` lists the rules and the permissions that there are."""

import re
from pathlib import Path

import pytest
import yaml

from pytest_meshcheck.__main__ import main
from pytest_meshcheck.doctor.reading import ISSUERS, SOURCES
from pytest_meshcheck.doctor.registry import RULES
from pytest_meshcheck.doctor.snapshot import Kind
from tests.unit.test_doctor.api_server import ApiServer, serving
from tests.unit.test_doctor.snapshots import FOLDER

PAGE = (Path(__file__).resolve().parents[3] / "docs/doctor.md").read_text()
IN_STEPS = {("discovery.k8s.io", "endpointslices")}
"""What is read once other objects have said where."""


def test_the_table_has_every_rule() -> None:
    rows = re.findall(r"^\| `([a-z-]+\.[a-z0-9-]+)` \| (.*) \|$", PAGE, re.MULTILINE)
    assert rows == [(rule.id, rule.about) for rule in RULES]


def test_the_example_is_what_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(ApiServer(yaml.safe_load((FOLDER / "example.yaml").read_text()))) as server:
        assert main(["doctor", f"--kubeconfig={server.kubeconfig(tmp_path)}"]) == 1
    assert f"```text\n{capsys.readouterr().out}```" in PAGE


def test_the_role_allows_what_is_read() -> None:
    block = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert block
    rules = yaml.safe_load(block[1])["rules"]
    allowed = {(group, resource) for one in rules for group in one["apiGroups"] for resource in one["resources"]}
    read = IN_STEPS | {_resource(path) for source in SOURCES for path in source.paths}
    assert read <= allowed
    assert {resource for _, resource in read} == {resource for _, resource in allowed}
    assert all(one["verbs"] == ["list"] for one in rules)


def _resource(path: str) -> tuple[str, str]:
    parts = path.strip("/").split("/")
    return ("" if parts[0] == "api" else parts[1]), parts[-1]


def test_each_kind_is_read_from_somewhere() -> None:
    assert {source.kind for source in SOURCES} | {Kind.ENDPOINT_SLICE, Kind.ISSUER, Kind.PROXY} == set(Kind)
    assert ISSUERS
