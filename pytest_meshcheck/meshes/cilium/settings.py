"""What a Cilium that is there is set to: the ConfigMap ``cilium-config`` that its agents read; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

CONFIG = "cilium-config"
ABSENT = "(not set)"


@dataclass(frozen=True)
class Setting:
    """One key of the configuration, and what it has to be.

    Attributes:
        key: Its name.
        wanted: The value.
        value: How the chart is told, ``name=value``.
        why: What happens otherwise.
        source: Where that is documented; a URL.
        only_if: It matters where any of these keys has this value; empty: always.
    """

    key: str
    wanted: str
    value: str
    why: str
    source: str
    only_if: Mapping[str, str] = field(default_factory=dict, hash=False)


def conflicts(config: Mapping[str, str], settings: Sequence[Setting]) -> list[str]:
    """Each setting that is not as wanted, in words that say what to do; a key that is missing is not as wanted."""
    return [
        _conflict(config, setting) for setting in settings if _matters(config, setting) and not _is(config, setting)
    ]


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
        "Cilium puts the configuration of other CNI plugins aside, that of linkerd-cni among them",
        LINKERD_DOCS,
    ),
)
"""What Linkerd on Cilium's network depends on."""
