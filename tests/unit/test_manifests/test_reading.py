"""Manifests as they are read, and what is refused, with file and line."""

from pathlib import Path

import pytest

from pytest_meshcheck.manifests.errors import ManifestError
from pytest_meshcheck.manifests.objects import KubernetesObject
from pytest_meshcheck.manifests.reading import STANDARD_INPUT, Text, objects_in, texts_of

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: orders, namespace: shop}\n"
UNRENDERED = "a template that was not rendered ({{ … }}): give what `helm template` or `kustomize build` print"


def read(content: str) -> list[KubernetesObject]:
    return objects_in([Text("k8s/a.yaml", content)])


REFUSED = {
    # case: content, what is said
    "unrendered": ("kind: Service\nmetadata:\n  name: {{ .Release.Name }}\n", f"k8s/a.yaml:3: {UNRENDERED}"),
    "unrendered-block": (f"{SERVICE}---\n{{{{- if .Values.on }}}}\nkind: Service\n", f"k8s/a.yaml:5: {UNRENDERED}"),
    "unrendered-quoted": (
        'apiVersion: v1\nkind: Service\nmetadata: {name: "a"}\nspec:\n  type: "{{ .Values.type }}"\n',
        f"k8s/a.yaml:5: {UNRENDERED}",
    ),
    "twice": (
        f"{SERVICE}---\n{SERVICE}",
        "k8s/a.yaml:5: Service shop/orders is written twice, first in k8s/a.yaml:1; remove one of the two",
    ),
    "key-twice": (
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nkind: Pod\n",
        "k8s/a.yaml:4: the key 'kind' is written twice; remove one of the two",
    ),
    "no-yaml": ("a: [\n", "k8s/a.yaml:2: not YAML: expected the node content, but found '<stream end>'"),
    "no-mapping": ("---\n- a\n", "k8s/a.yaml:2: not a manifest: it is no mapping with apiVersion, kind and metadata"),
    "no-kind": ("apiVersion: v1\nmetadata: {name: a}\n", "k8s/a.yaml:1: a manifest without kind"),
    "no-version": ("# said first\nkind: Pod\n", "k8s/a.yaml:2: a manifest without apiVersion"),
    "no-name": ("apiVersion: v1\nkind: Pod\nmetadata: {}\n", "k8s/a.yaml:1: a Pod without metadata.name"),
    "generate-name": (
        "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: a-}\n",
        "k8s/a.yaml:1: a Job with generateName and no name; write metadata.name, by which reports speak of it",
    ),
    "nothing": ("# only a comment\n---\n", "k8s/a.yaml: there is no manifest in it"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_manifest_is_refused_with_its_line(case: str) -> None:
    content, said = REFUSED[case]
    with pytest.raises(ManifestError) as refused:
        read(content)
    assert str(refused.value) == said


def test_documents_lists_and_anchors_are_read_with_the_lines_of_each_object() -> None:
    found = read(
        f"{SERVICE}---\napiVersion: v1\nkind: List\nitems:\n"
        "- apiVersion: v1\n  kind: Pod\n  metadata: &about {name: a, labels: {app: a}}\n"
        "- apiVersion: v1\n  kind: Pod\n  metadata: {<<: *about, name: b}\n"
    )
    assert [(str(one), one.place.line) for one in found] == [("Service shop/orders", 1), ("Pod a", 8), ("Pod b", 11)]
    assert found[2].labels == {"app": "a"}


def test_templates_of_others_are_left_alone() -> None:
    kept = 'metadata:\n  name: a\n  annotations: {vault.example/template: "{{ with secret }}"}\n'
    assert read(f"apiVersion: v1\nkind: Pod\n{kept}")
    assert read('apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {page: "{{ .Title }}"}\n')


def test_a_folder_is_read_in_the_order_of_its_names_without_hidden_files(tmp_path: Path) -> None:
    for name in ("b.yml", "a/z.yaml", ".git/c.yaml", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(SERVICE)
    texts = texts_of([tmp_path, STANDARD_INPUT], standard_input="kind: Pod")
    assert [one.file for one in texts] == [str(tmp_path / "a/z.yaml"), str(tmp_path / "b.yml"), "-"]
    assert texts[-1].content == "kind: Pod"


FOLDERS = {
    # file in a folder: what is said
    "notes.txt": "{folder}: no manifests in this directory; looked for .yaml, .yml, .json",
    "kustomization.yaml": (
        "{folder}/kustomization.yaml: render it first: kustomize build {folder} | pytest --mesh-manifests=- …"
    ),
    "Chart.yaml": "{folder}/Chart.yaml: render it first: helm template {folder} | pytest --mesh-manifests=- …",
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_without_manifests_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("a: b\n")
    with pytest.raises(ManifestError) as refused:
        texts_of([tmp_path])
    assert str(refused.value) == FOLDERS[name].format(folder=tmp_path)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ManifestError, match=r"a\.yaml: cannot be read: .*codec"):
        texts_of([tmp_path])
