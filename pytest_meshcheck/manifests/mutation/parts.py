"""The parts of mesh resources that can be taken out in turn: each resource, and each of its rules; pure."""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from pytest_meshcheck.manifests.objects import KubernetesObject, Place
from pytest_meshcheck.manifests.reading import Text

GATEWAY_API = "gateway.networking.k8s.io"
ISTIO_NETWORKING = "networking.istio.io"
ISTIO_SECURITY = "security.istio.io"
NETWORKING = "networking.k8s.io"

SUBSET = "subset"

Path = tuple[str | int, ...]

RULES: Mapping[tuple[str, str], Sequence[tuple[Path, str]]] = {
    # group and kind: where its rules are, and what one of them is called
    (GATEWAY_API, "HTTPRoute"): [(("spec", "rules"), "rule")],
    (ISTIO_NETWORKING, "DestinationRule"): [(("spec", "subsets"), SUBSET)],
    (ISTIO_NETWORKING, "VirtualService"): [(("spec", "http"), "rule"), (("spec", "tcp"), "tcp rule")],
    (ISTIO_SECURITY, "AuthorizationPolicy"): [(("spec", "rules"), "rule")],
    (ISTIO_SECURITY, "PeerAuthentication"): [(("spec", "portLevelMtls"), "port")],
    (NETWORKING, "NetworkPolicy"): [(("spec", "ingress"), "ingress rule"), (("spec", "egress"), "egress rule")],
}
"""A list is taken apart where it has two or more rules; the last one goes with its resource."""


@dataclass(frozen=True, eq=False)
class Part:
    """A resource, or one of its rules.

    Attributes:
        resource: The resource.
        path: Where the rule is in its manifest; empty for the whole resource.
        name: What the rule is called, such as ``rule 2`` (from 1) or ``subset v1``; empty for the whole resource.
        place: Where it is written.
    """

    resource: KubernetesObject
    path: Path
    name: str
    place: Place

    @property
    def kind(self) -> tuple[str, str]:
        """Group and kind of its resource."""
        return self.resource.group, self.resource.kind

    @property
    def content(self) -> Any:
        """The rule, or the specification of the resource."""
        return within(self.resource.manifest, self.path) if self.path else self.resource.spec

    @property
    def rest(self) -> KubernetesObject | None:
        """The resource without its rule; None where all of it is taken out."""
        if not self.path:
            return None
        manifest: Any = copy.deepcopy(dict(self.resource.manifest))
        del within(manifest, self.path[:-1])[self.path[-1]]
        return KubernetesObject(manifest, self.resource.place)

    def __str__(self) -> str:
        return f"{self.resource} {self.name}" if self.name else str(self.resource)


def parts(resources: Iterable[KubernetesObject], texts: Sequence[Text] = ()) -> list[Part]:
    """The parts of resources, in their order; with the texts that they were read from, rules have lines of their own.

    Args:
        resources: What configures the mesh.
        texts: The files.
    """
    return [one for resource in resources for one in _parts(resource, texts)]


def within(content: Any, path: Path) -> Any:
    """What is at a path; None where there is nothing."""
    for step in path:
        try:
            content = content[step]
        except (KeyError, IndexError, TypeError):
            return None
    return content


def _parts(resource: KubernetesObject, texts: Sequence[Text]) -> Iterator[Part]:
    yield Part(resource, (), "", resource.place)
    for path, word in RULES.get((resource.group, resource.kind), ()):
        rules = within(resource.manifest, path)
        keys: list[Any] = list(rules if isinstance(rules, Mapping) else range(len(rules or ())))
        for key in keys if len(keys) > 1 else ():
            at = (*path, key)
            yield Part(resource, at, f"{word} {_named(word, rules, key)}", _place(resource, at, texts))


def _named(word: str, rules: Any, key: Any) -> str:
    """A subset by its name, what is in a mapping by its key, and any other rule by its number."""
    if isinstance(rules, Mapping):
        return str(key)
    name = rules[key].get("name") if word == SUBSET and isinstance(rules[key], Mapping) else None
    return str(name or key + 1)


def _place(resource: KubernetesObject, path: Path, texts: Sequence[Text]) -> Place:
    """Where a rule is written; the place of its resource if the texts do not tell."""
    for text in texts:
        if text.file == resource.place.file:
            for node in yaml.compose_all(text.content, yaml.SafeLoader):
                if (found := _node(node, resource.place.line)) and (rule := _down(found, path)):
                    return Place(text.file, rule.start_mark.line + 1)
    return resource.place


def _node(node: yaml.Node | None, line: int) -> yaml.Node | None:
    """The object that begins in a line: a document, or an item of a ``List``."""
    if not isinstance(node, yaml.MappingNode):
        return None
    items = _down(node, ("items",))
    if isinstance(items, yaml.SequenceNode):
        return next((found for one in items.value if (found := _node(one, line))), None)
    return node if node.start_mark.line + 1 == line else None


def _down(node: yaml.Node, path: Path) -> yaml.Node | None:
    for step in path:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
        elif isinstance(node, yaml.MappingNode):
            found = [value for key, value in node.value if str(key.value) == str(step)]
            if not found:
                return None
            node = found[-1]
        else:
            return None
    return node
