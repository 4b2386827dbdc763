"""``docs/doctor.md`` lists the rules and the permissions that there are."""

import re
from pathlib import Path

import yaml

from pytest_meshcheck.doctor.reading import ISSUERS, SOURCES
from pytest_meshcheck.doctor.registry import RULES
from pytest_meshcheck.doctor.snapshot import Kind

PAGE = (Path(__file__).resolve().parents[3] / "docs/doctor.md").read_text()
IN_STEPS = {("discovery.k8s.io", "endpointslices")}
"""What is read once other objects have said where."""


def test_the_table_has_every_rule() -> None:
    rows = re.findall(r"^\| `([a-z-]+\.[a-z0-9-]+)` \| (.*) \|$", PAGE, re.MULTILINE)
    assert rows == [(rule.id, rule.about) for rule in RULES]


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
