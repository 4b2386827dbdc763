"""The settings of Cilium: in the ConfigMap ``cilium-config`` of an installed one, in values for its chart; pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

CONFIG = "cilium-config"
ABSENT = "(not set)"


@dataclass(frozen=True)
class Setting:
    """One key of the configuration, and its required value.

    Attributes:
        key: Its name.
        wanted: The value.
        value: The corresponding value of the chart, ``name=value``.
        why: The consequence of another value.
        source: Its documentation; a URL.
        only_if: The setting matters only if one of these keys has its value; empty for always.
    """

    key: str
    wanted: str
    value: str
    why: str
    source: str
    only_if: Mapping[str, str] = field(default_factory=dict, hash=False)


def conflicts(config: Mapping[str, str], settings: Sequence[Setting]) -> list[str]:
    """A message for each wrong setting, with the mend; a missing key counts as wrong."""
    return [
        _conflict(config, setting) for setting in settings if _matters(config, setting) and not _is(config, setting)
    ]


def contradicted(overrides: Iterable[Mapping[str, Any]], settings: Sequence[Setting]) -> Iterator[str]:
    """A message for each setting that values for the chart override with another value than the wanted one."""
    given = list(overrides)
    for setting in settings:
        name, _, wanted = setting.value.partition("=")
        found = [str(value).lower() for one in given if (value := _at(name.split("."), one)) is not None]
        if found and found[-1] != wanted:
            yield f"{name} is {found[-1]}, wanted is {wanted}: {setting.why} ({setting.source})"


def _at(path: Sequence[str], values: Mapping[str, Any]) -> object:
    node: object = values
    for key in path:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node


def _matters(config: Mapping[str, str], setting: Setting) -> bool:
    return not setting.only_if or any(config.get(key) == value for key, value in setting.only_if.items())


def _is(config: Mapping[str, str], setting: Setting) -> bool:
    return config.get(setting.key) == setting.wanted


def _conflict(config: Mapping[str, str], setting: Setting) -> str:
    found = config.get(setting.key, ABSENT)
    return (
        f"{setting.key} is {found}, wanted is {setting.wanted}: {setting.why}; "
        f"set {setting.value} in Cilium's chart ({setting.source})"
    )


LINKERD_DOCS = "https://linkerd.io/2/reference/cluster-configuration/#cilium"

FOR_LINKERD = (
    Setting(
        "bpf-lb-sock-hostns-only",
        "true",
        "socketLB.hostNamespaceOnly=true",
        "connections to a service go to a pod's address before Linkerd's proxy sees them, "
        "so that its routes, retries and timeouts never act",
        LINKERD_DOCS,
        only_if={"kube-proxy-replacement": "true", "bpf-lb-sock": "true"},
    ),
    Setting(
        "cni-exclusive",
        "false",
        "cni.exclusive=false",
        "Cilium disables the configuration of other CNI plugins, including linkerd-cni",
        LINKERD_DOCS,
    ),
)
"""The settings of Cilium that Linkerd depends on."""
