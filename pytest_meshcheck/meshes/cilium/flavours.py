"""The ways in which Cilium is judged, each a mesh of its own name, so that nobody takes one's promise for another's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pytest_meshcheck.meshes.cilium import documented as d, values as v
from pytest_meshcheck.meshes.cilium.render import GAMMA
from pytest_meshcheck.meshes.cilium.settings import FOR_LINKERD, LINKERD_DOCS, Setting, conflicts
from pytest_meshcheck.platforms.base import Manifest

AUTHENTICATED = {"meshcheck.dev/mutual-authentication": "required"}
"""The label of pods that agents have to authenticate the callers of."""


@dataclass(frozen=True, eq=False)
class Flavour:
    """One way of running Cilium.

    Attributes:
        name: The mesh's name.
        values: What the chart is told.
        claims: What it promises.
        why_not_strict: What it has instead of strict mutual TLS.
        source: Where that is documented.
        settings: What the configuration of a Cilium has to say that was there before; the first tells the flavour.
        words: How a sentence ends that says so; empty where it is not told from others.
        rollouts: What has to run besides what every Cilium has: namespace, empty for Cilium's own, kind and name.
        since: The first version that has it.
        until: The first that no longer has it; empty where it is not known to go away.
        labels: What enrolled pods are labelled with.
        resources: What is applied once it runs, and stays.
    """

    name: str
    values: v.Values
    claims: d.Claims
    why_not_strict: str
    source: str
    settings: Sequence[Setting] = ()
    words: str = ""
    rollouts: Sequence[tuple[str, str, str]] = ()
    since: str = "1.18.0"
    until: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    resources: Sequence[Manifest] = ()

    @property
    def routed(self) -> bool:
        """Whether HTTPRoutes are used."""
        return "gatewayAPI" in self.values


MUTUAL_AUTHENTICATION: Manifest = {
    "apiVersion": "cilium.io/v2",
    "kind": "CiliumClusterwideNetworkPolicy",
    "metadata": {"name": "meshcheck-mutual-authentication"},
    "spec": {
        "endpointSelector": {"matchLabels": AUTHENTICATED},
        "ingress": [{"fromEntities": ["cluster"], "authentication": {"mode": "required"}}],
    },
}
"""Packets to such a pod are dropped until the agents of both nodes have authenticated both identities.

https://docs.cilium.io/en/stable/network/servicemesh/mutual-authentication/mutual-authentication/
"""


def _encryption(key: str, kind: str, source: str) -> Setting:
    return Setting(
        key, "true", f"encryption.enabled=true and encryption.type={kind}", "nothing is encrypted so", source
    )


HTTP_ROUTES = Setting("enable-gateway-api", "true", "gatewayAPI.enabled=true", "no HTTPRoute acts", GAMMA)

WIREGUARD = Flavour(
    "cilium",
    {**v.COMMON, **v.ROUTES, **v.WIREGUARD},
    d.BY_WIREGUARD,
    *d.BETWEEN_NODES["WireGuard"],
    settings=(_encryption("enable-wireguard", "wireguard", d.WIREGUARD), HTTP_ROUTES),
    words="with WireGuard between nodes",
)
IPSEC = Flavour(
    "cilium-ipsec",
    {**v.COMMON, **v.ROUTES, **v.IPSEC},
    d.BY_IPSEC,
    *d.BETWEEN_NODES["IPsec"],
    settings=(_encryption("enable-ipsec", "ipsec", d.IPSEC), HTTP_ROUTES),
    words="with IPsec between nodes",
)
SPIRE = Flavour(
    "cilium-spire",
    {**v.COMMON, **v.ROUTES, **v.SPIRE},
    d.BY_SPIRE,
    d.OUT_OF_BAND,
    d.MUTUAL_AUTHENTICATION,
    settings=(
        Setting(
            "mesh-auth-mutual-enabled",
            "true",
            "authentication.enabled=true and authentication.mutual.spire.enabled=true",
            "nobody is authenticated, and what asks for it is dropped",
            d.MUTUAL_AUTHENTICATION,
        ),
        HTTP_ROUTES,
    ),
    words="with mutual authentication by SPIRE",
    rollouts=(("cilium-spire", "statefulsets", "spire-server"), ("cilium-spire", "daemonsets", "spire-agent")),
    until=d.FIRST_WITHOUT_MUTUAL_AUTHENTICATION,
    labels=AUTHENTICATED,
    resources=(MUTUAL_AUTHENTICATION,),
)
ZTUNNEL = Flavour(
    "cilium-ztunnel",
    {**v.COMMON, **v.ZTUNNEL},
    d.BY_ZTUNNEL,
    d.NO_STRICT,
    f"{d.ZTUNNEL}#limitations",
    settings=(_encryption("enable-ztunnel", "ztunnel", d.ZTUNNEL),),
    words="with ztunnel",
    rollouts=(("", "daemonsets", "ztunnel-cilium"),),
    since=d.FIRST_WITH_ZTUNNEL,
)

BELOW_LINKERD = Flavour(
    "linkerd+cilium",
    {**v.COMMON, **v.BELOW_A_MESH},
    d.BELOW_LINKERD,
    "Linkerd is the mesh",
    LINKERD_DOCS,
    settings=FOR_LINKERD,
)
"""The network that Linkerd is judged on, without encryption of its own."""

TOLD_APART = (WIREGUARD, IPSEC, ZTUNNEL, SPIRE)
"""Those that one Cilium is either; several of the others may be on beside the one that is judged."""


def found_in(config: Mapping[str, str]) -> Sequence[Flavour]:
    """The flavours that a configuration turns on."""
    return [flavour for flavour in TOLD_APART if not conflicts(config, flavour.settings[:1])]
