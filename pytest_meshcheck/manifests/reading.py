"""Manifests as people have them: files, folders of files, or what ``kustomize build`` and ``helm template`` print."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pytest_meshcheck.manifests.errors import ManifestError
from pytest_meshcheck.manifests.objects import KubernetesObject, Place

STANDARD_INPUT = Path("-")
SUFFIXES = (".yaml", ".yml", ".json")
TEMPLATE = "{{"
MERGE = "tag:yaml.org,2002:merge"

TO_RENDER = {
    # file that is a source of manifests: what renders them
    "kustomization.yaml": "kustomize build",
    "kustomization.yml": "kustomize build",
    "Chart.yaml": "helm template",
}
MAY_HOLD_TEMPLATES = ("ConfigMap", "Secret", "PrometheusRule", "CustomResourceDefinition")
"""Kinds whose content is templates of others, and which no run uses."""

NOT_RENDERED = "a template that was not rendered ({{ … }}): give what `helm template` or `kustomize build` print"


@dataclass(frozen=True)
class Text:
    """The content of one file.

    Attributes:
        file: Its path as given, or ``-`` for standard input.
        content: The whole text.
    """

    file: str
    content: str


def texts_of(paths: Iterable[Path], standard_input: str = "") -> list[Text]:
    """The texts of files and folders in this order; in a folder all files below it, by name.

    Raises:
        ManifestError: A file cannot be read, is rendered by a tool first, or a folder has no manifests.
    """
    return [
        text
        for path in paths
        for text in ([Text("-", standard_input)] if path == STANDARD_INPUT else map(text_of, _files(path)))
    ]


def objects_in(texts: Iterable[Text]) -> list[KubernetesObject]:
    """All objects, in their order; those of a ``List`` one by one.

    Raises:
        ManifestError: Something is no manifest, is written twice, or a text has no object.
    """
    found: dict[tuple[str, str, str, str], KubernetesObject] = {}
    for text in texts:
        objects = list(_objects(text))
        if not objects:
            raise ManifestError(f"{text.file}: there is no manifest in it")
        for one in objects:
            if earlier := found.get(one.identity):
                raise one.place.error(f"{one} is written twice, first in {earlier.place}; remove one of the two")
            found[one.identity] = one
    return list(found.values())


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    files = sorted(one for one in path.rglob("*") if one.is_file() and not _is_hidden(one.relative_to(path)))
    for one in files:
        if tool := TO_RENDER.get(one.name):
            raise ManifestError(f"{one}: render it first: {tool} {one.parent} | pytest --mesh-manifests=- …")
    manifests = [one for one in files if one.suffix in SUFFIXES]
    if not manifests:
        raise ManifestError(f"{path}: no manifests in this directory; looked for {', '.join(SUFFIXES)}")
    return manifests


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def text_of(path: Path) -> Text:
    """The text of a file.

    Raises:
        ManifestError: It cannot be read.
    """
    try:
        return Text(str(path), path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _objects(text: Text) -> Iterator[KubernetesObject]:
    loader = yaml.SafeLoader(text.content)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                _refuse_twice(text, node, set())
                yield from _items(text, loader, node)
    except yaml.YAMLError as error:
        raise _unreadable(text, error) from error
    finally:
        loader.dispose()


def _unreadable(text: Text, error: yaml.YAMLError) -> ManifestError:
    lines = text.content.splitlines()
    template = next((number for number, line in enumerate(lines, 1) if TEMPLATE in line), None)
    if template is not None:
        return Place(text.file, template).error(NOT_RENDERED)
    mark = getattr(error, "problem_mark", None)
    place = Place(text.file, mark.line + 1 if mark else 1)
    return place.error(f"not YAML: {getattr(error, 'problem', None) or error}")


def _refuse_twice(text: Text, node: yaml.Node, seen: set[int]) -> None:
    """Refuse a key that a mapping has twice, of which YAML would silently take the last."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for one in node.value:
            _refuse_twice(text, one, seen)
    elif isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            if key.tag != MERGE and isinstance(key, yaml.ScalarNode):
                if key.value in keys:
                    raise _place(text, key).error(f"the key {key.value!r} is written twice; remove one of the two")
                keys.add(key.value)
            _refuse_twice(text, value, seen)


def _items(text: Text, loader: yaml.SafeLoader, node: yaml.Node) -> Iterator[KubernetesObject]:
    """The objects of a document."""
    if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null"):
        return
    place = _place(text, node)
    if not isinstance(node, yaml.MappingNode):
        raise place.error("not a manifest: it is no mapping with apiVersion, kind and metadata")
    fields = {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}
    items = fields.get("items")
    if getattr(fields.get("kind"), "value", "").endswith("List") and isinstance(items, yaml.SequenceNode):
        for item in items.value:
            yield from _items(text, loader, item)
        return
    content = loader.construct_document(node)
    one = _object(content, place)
    if one.kind not in MAY_HOLD_TEMPLATES:
        _refuse_templates(text, node)
    yield one


def _object(content: Any, place: Place) -> KubernetesObject:
    for key in ("apiVersion", "kind"):
        if not content.get(key):
            raise place.error(f"a manifest without {key}")
    metadata = content.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("name"):
        if isinstance(metadata, dict) and metadata.get("generateName"):
            raise place.error(
                f"a {content['kind']} with generateName and no name; write metadata.name, by which reports speak of it"
            )
        raise place.error(f"a {content['kind']} without metadata.name")
    return KubernetesObject(content, place)


def _refuse_templates(text: Text, node: yaml.Node) -> None:
    """Refuse quoted templates; annotations may hold those of others, such as of a secret injector."""
    if isinstance(node, yaml.ScalarNode):
        if TEMPLATE in node.value:
            raise _place(text, node).error(NOT_RENDERED)
    elif isinstance(node, yaml.SequenceNode):
        for one in node.value:
            _refuse_templates(text, one)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value != "annotations":
                _refuse_templates(text, value)


def _place(text: Text, node: yaml.Node) -> Place:
    return Place(text.file, node.start_mark.line + 1)
