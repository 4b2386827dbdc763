"""The variants of Cilium, each a mesh with a name of its own, as each promises something different."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_meshcheck.meshes.cilium import documented as d, values as v
from pytest_meshcheck.meshes.cilium.render import GAMMA
from pytest_meshcheck.meshes.cilium.settings import FOR_LINKERD, LINKERD_DOCS, Setting, conflicts
from pytest_meshcheck.meshes.documented import Documented

SPIRE_SYSTEM = "cilium-spire"
"""The namespace of SPIRE, by default of the chart."""


@dataclass(frozen=True, eq=False)
class Variant:
    """One variant of Cilium.

    Attributes:
        name: The mesh's name.
        values: The values of the chart.
        claims: The claims of the mesh.
        why_not_strict: The reason why it has no strict mutual TLS.
        source: The documentation of that reason; a URL.
        settings: The settings that a pre-installed Cilium must have; the first identifies the variant.
        documented: The promises of its documentation.
        words: The end of a sentence that names the variant; empty if it cannot be detected.
        rollouts: Additional workloads that must run: namespace (empty for that of Cilium), kind and name.
        since: The first version that has it.
        until: The first version that no longer has it; empty if no removal is known.
    """

    name: str
    values: v.Values
    claims: d.Claims
    why_not_strict: str
    source: str
    settings: Sequence[Setting] = ()
    documented: Documented = d.DOCUMENTED
    words: str = ""
    rollouts: Sequence[tuple[str, str, str]] = ()
    since: str = "1.18.0"
    until: str = ""

    @property
    def routed(self) -> bool:
        """Whether the variant uses HTTPRoutes."""
        return "gatewayAPI" in self.values


def _encryption(key: str, kind: str, source: str) -> Setting:
    return Setting(
        key, "true", f"encryption.enabled=true and encryption.type={kind}", "otherwise nothing is encrypted", source
    )


HTTP_ROUTES = Setting("enable-gateway-api", "true", "gatewayAPI.enabled=true", "no HTTPRoute acts", GAMMA)

WIREGUARD = Variant(
    "cilium",
    {**v.COMMON, **v.ROUTES, **v.WIREGUARD},
    d.BY_WIREGUARD,
    *d.BETWEEN_NODES["WireGuard"],
    settings=(_encryption("enable-wireguard", "wireguard", d.WIREGUARD), HTTP_ROUTES),
    words="with WireGuard between nodes",
)
IPSEC = Variant(
    "cilium-ipsec",
    {**v.COMMON, **v.ROUTES, **v.IPSEC},
    d.BY_IPSEC,
    *d.BETWEEN_NODES["IPsec"],
    settings=(_encryption("enable-ipsec", "ipsec", d.IPSEC), HTTP_ROUTES),
    documented=d.OF_IPSEC,
    words="with IPsec between nodes",
)
SPIRE = Variant(
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
            "workloads are not authenticated, and packets to pods that require it are dropped",
            d.MUTUAL_AUTHENTICATION,
        ),
        HTTP_ROUTES,
    ),
    words="with mutual authentication by SPIRE",
    rollouts=((SPIRE_SYSTEM, "statefulsets", "spire-server"), (SPIRE_SYSTEM, "daemonsets", "spire-agent")),
    until=d.FIRST_WITHOUT_MUTUAL_AUTHENTICATION,
)
ZTUNNEL = Variant(
    "cilium-ztunnel",
    {**v.COMMON, **v.ZTUNNEL},
    d.BY_ZTUNNEL,
    d.NO_STRICT,
    f"{d.ZTUNNEL}#limitations",
    settings=(_encryption("enable-ztunnel", "ztunnel", d.ZTUNNEL),),
    documented=d.OF_ZTUNNEL,
    words="with ztunnel",
    rollouts=(("", "daemonsets", "ztunnel-cilium"),),
    since=d.FIRST_WITH_ZTUNNEL,
)

BELOW_LINKERD = Variant(
    "linkerd+cilium",
    {**v.COMMON, **v.BELOW_A_MESH},
    d.BELOW_LINKERD,
    "Linkerd is the mesh",
    LINKERD_DOCS,
    settings=FOR_LINKERD,
)
"""The network below Linkerd, without encryption of its own."""

EXCLUSIVE = (WIREGUARD, IPSEC, ZTUNNEL, SPIRE)
"""Variants that exclude each other; others may be enabled in addition."""


def found_in(config: Mapping[str, str]) -> Sequence[Variant]:
    """The variants that a configuration enables."""
    return [variant for variant in EXCLUSIVE if not conflicts(config, variant.settings[:1])]
