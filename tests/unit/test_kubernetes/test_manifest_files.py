"""Manifests are taken as people have them."""

from pathlib import Path

import pytest

from pytest_meshcheck.model.errors import ClusterError
from pytest_meshcheck.testbed.manifest_files import Source, manifests_of

ONE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n"
OTHER = ONE.replace("one", "other")


def names(source: Source) -> list[str]:
    return [manifest["metadata"]["name"] for manifest in manifests_of(source)]


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(ONE)
    (tmp_path / "a.yml").write_text(OTHER)
    (tmp_path / "notes.md").write_text("no manifest")
    assert names(tmp_path) == ["other", "one"]


def test_a_file_may_have_several_and_empty_documents(tmp_path: Path) -> None:
    (tmp_path / "both.yaml").write_text(f"{ONE}---\n---\n{OTHER}")
    assert names(str(tmp_path / "both.yaml")) == ["one", "other"]


def test_text_with_a_line_break_is_yaml() -> None:
    assert names(ONE) == ["one"]


def test_a_list_counts_as_its_items() -> None:
    one = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}}
    assert names({"apiVersion": "v1", "kind": "List", "items": [one, one]}) == ["one", "one"]
    assert names([one]) == ["one"]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("nowhere.yaml", "nowhere.yaml: there is no such file or folder"),
        ("a: [\n", "the YAML text is not YAML: "),
        ("a: 1\n", "the YAML text: a manifest has no apiVersion, kind, metadata"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {}\n", "the YAML text: a Pod has no metadata.name"),
        ("\n", "the source has no manifest"),
    ],
)
def test_what_is_no_manifest_is_refused(source: str, why: str) -> None:
    with pytest.raises(ClusterError) as refused:
        manifests_of(source)
    assert str(refused.value).startswith(why)
    assert "\n" not in str(refused.value)
