"""Configuration of meshes that leaves gaps: permissive modes, raw Envoy configuration, plaintext clients."""

from collections.abc import Iterator

import yaml

from pytest_meshcheck.doctor.finding import Found, Severity
from pytest_meshcheck.doctor.installed import Product, control_planes, has
from pytest_meshcheck.doctor.snapshot import Kind, Snapshot, called, namespace_of
from pytest_meshcheck.platforms.kubernetes.api.server import Object

OPEN = ("PERMISSIVE", "DISABLE")


def permissive(snapshot: Snapshot) -> Iterator[Found]:
    """PeerAuthentications that admit plaintext."""
    strict = {namespace_of(one) for one in snapshot.of(Kind.PEER_AUTHENTICATION) if "STRICT" in _modes(one)}
    roots = {one.namespace for one in control_planes(snapshot, Product.ISTIO)}
    for one in snapshot.of(Kind.PEER_AUTHENTICATION):
        if found := [mode for mode in _modes(one) if mode in OPEN]:
            beside = strict & ({namespace_of(one)} | roots)
            yield Found(
                Severity.WARNING,
                called(Kind.PEER_AUTHENTICATION, one),
                f"mode {found[0]} admits plaintext"
                + (f", while STRICT is asked for in {', '.join(sorted(beside))}" if beside else ""),
                "set STRICT once all its clients are in the mesh, or delete it",
            )


def _modes(policy: Object) -> list[str]:
    """The modes of a PeerAuthentication: its own and those of its ports."""
    spec = policy.get("spec") or {}
    rules = [spec.get("mtls") or {}, *(spec.get("portLevelMtls") or {}).values()]
    return [str(one.get("mode", "UNSET")) for one in rules]


def default_is_permissive(snapshot: Snapshot) -> Iterator[Found]:
    """Istio without a mesh-wide STRICT: each workload without a policy of its own admits plaintext."""
    for plane in control_planes(snapshot, Product.ISTIO):
        wide = [
            one
            for one in snapshot.of(Kind.PEER_AUTHENTICATION)
            if namespace_of(one) == plane.namespace and not (one.get("spec") or {}).get("selector")
        ]
        if not any("STRICT" in _modes(one)[:1] for one in wide):
            yield Found(
                Severity.INFO,
                plane.name,
                f"no PeerAuthentication in {plane.namespace} asks for STRICT in the whole mesh: "
                "workloads without a policy of their own admit plaintext",
                "",
            )


def plaintext_clients(snapshot: Snapshot) -> Iterator[Found]:
    """DestinationRules that switch mutual TLS off on the side of the clients."""
    for one in snapshot.of(Kind.DESTINATION_RULE):
        spec = one.get("spec") or {}
        policies = [spec.get("trafficPolicy") or {}, *(each.get("trafficPolicy") or {} for each in _subsets(spec))]
        ports = [port for policy in policies for port in policy.get("portLevelSettings") or ()]
        if any((each.get("tls") or {}).get("mode") == "DISABLE" for each in [*policies, *ports]):
            yield Found(
                Severity.WARNING,
                called(Kind.DESTINATION_RULE, one),
                f"tls.mode DISABLE: clients send plaintext to {spec.get('host', '')}, which strict mTLS refuses",
                "remove tls, so that the mesh chooses mutual TLS where the server has it",
            )


def _subsets(spec: Object) -> list[Object]:
    found: list[Object] = spec.get("subsets") or []
    return found


def envoy_filters(snapshot: Snapshot) -> Iterator[Found]:
    """EnvoyFilters, which change what Istio promises, and break with upgrades."""
    roots = {one.namespace for one in control_planes(snapshot, Product.ISTIO)}
    for one in snapshot.of(Kind.ENVOY_FILTER):
        patches = (one.get("spec") or {}).get("configPatches") or ()
        kinds = sorted({str(each.get("applyTo", "")) for each in patches})
        wide = namespace_of(one) in roots and not (one.get("spec") or {}).get("workloadSelector")
        yield Found(
            Severity.WARNING,
            called(Kind.ENVOY_FILTER, one),
            f"it patches {', '.join(kinds) or 'nothing'} of {'all proxies of the mesh' if wide else 'its workloads'}: "
            "retries, limits and authorization may differ from what other resources say",
            "test it after each upgrade, or replace it by a resource of the mesh's API",
        )


def linkerd_admits_plaintext(snapshot: Snapshot) -> Iterator[Found]:
    """Linkerd's default policy if it admits clients outside of the mesh."""
    for config in snapshot.config("linkerd-config"):
        try:
            values = yaml.safe_load((config.get("data") or {}).get("values", "")) or {}
        except yaml.YAMLError:
            continue  # a chart wrote it; there is no default to name
        policy = (values.get("proxy") or {}).get("defaultInboundPolicy", "")
        if has(snapshot, Product.LINKERD) and str(policy).endswith("-unauthenticated"):
            yield Found(
                Severity.INFO,
                called(Kind.CONFIG_MAP, config),
                f"defaultInboundPolicy is {policy}: workloads without a policy of their own admit plaintext",
                "",
            )
