"""Control planes against data planes: versions, readiness, trust anchors."""

import datetime
import json
from collections.abc import Iterator

from packaging.version import Version

from pytest_meshcheck.doctor import certificates, pods, versions
from pytest_meshcheck.doctor.finding import Found, Severity
from pytest_meshcheck.doctor.installed import CONTROL_PLANE, Product, components, control_planes, revision
from pytest_meshcheck.doctor.snapshot import Kind, Snapshot, annotations_of, labels_of, name_of, namespace_of
from pytest_meshcheck.platforms.kubernetes.api.server import Object

ANCHORS = "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS"
UNANSWERED = datetime.timedelta(minutes=1)
STATUS = "sidecar.istio.io/status"


def istio_skew(snapshot: Snapshot) -> Iterator[Found]:
    """Sidecars and gateways of another version than their istiod."""
    planes = {revision(one): one.version for one in control_planes(snapshot, Product.ISTIO)}
    if not planes:
        return
    for owner, found in pods.by_owner(one for one in snapshot.pods() if pods.proxy(one, pods.ISTIO_PROXY)):
        if owner.endswith("/ztunnel"):
            continue
        proxy = pods.proxy(found[0], pods.ISTIO_PROXY) or {}
        plane = planes.get(_revision(found[0]), next(iter(planes.values())))
        yield from _skew(f"workload {owner}", versions.in_image(proxy.get("image", "")), plane, len(found))


def _revision(pod: Object) -> str:
    """The revision that injected a pod; https://istio.io/latest/docs/setup/upgrade/canary/."""
    try:
        status = json.loads(annotations_of(pod).get(STATUS, "{}"))
    except ValueError:
        status = {}
    return str(status.get("revision") or labels_of(pod).get("istio.io/rev", "default"))


def node_skew(snapshot: Snapshot) -> Iterator[Found]:
    """Node proxies and CNI plugins of Istio of another version than istiod."""
    planes = control_planes(snapshot, Product.ISTIO)
    for one in components(snapshot):
        if planes and one.product is Product.ISTIO and one.role != CONTROL_PLANE:
            newest = max(planes, key=lambda plane: versions.parsed(plane.version) or Version("0"))
            yield from _skew(one.name, one.version, newest.version, 0)


def _skew(name: str, proxy: str, plane: str, count: int) -> Iterator[Found]:
    """A control plane may be one minor version ahead of a data plane, and never behind it."""
    ours, theirs = versions.parsed(proxy), versions.parsed(plane)
    if ours is None or theirs is None or ours == theirs:
        return
    many = f" in {count} pods" if count > 1 else ""
    behind = theirs.minor - ours.minor
    if ours > theirs:
        yield Found(
            Severity.ERROR if behind < 0 else Severity.WARNING,
            name,
            f"its proxy {proxy}{many} is newer than the control plane {plane}",
            "upgrade the control plane first",
        )
        return
    yield Found(
        Severity.ERROR if behind > 1 else Severity.WARNING,
        name,
        f"its proxy {proxy}{many} is older than the control plane {plane}"
        + (": more than the one minor version that is supported" if behind > 1 else ""),
        "restart the workload" if count else "upgrade it",
    )


def linkerd_skew(snapshot: Snapshot) -> Iterator[Found]:
    """Proxies of Linkerd of another version than the control plane."""
    planes = control_planes(snapshot, Product.LINKERD)
    for owner, found in pods.by_owner(one for one in snapshot.pods() if pods.proxy(one, pods.LINKERD_PROXY)):
        proxy = annotations_of(found[0]).get("linkerd.io/proxy-version", "")
        ours = versions.parsed(proxy)
        if planes and ours and ours != versions.parsed(planes[0].version):
            yield Found(
                Severity.WARNING,
                f"workload {owner}",
                f"its proxy {proxy} is not of the version of the control plane, {planes[0].version}",
                "restart the workload",
            )


def proxy_not_ready(snapshot: Snapshot) -> Iterator[Found]:
    """Proxies that run for longer than they need to become ready, and are not: they have no configuration."""
    for owner, found in pods.by_owner(snapshot.pods()):
        stuck = [one for one in found if any(_is_stuck(one, name) for name in pods.PROXIES)]
        if stuck:
            yield Found(
                Severity.ERROR,
                f"workload {owner}",
                f"the proxy of {len(stuck)} of its {len(found)} pods is not ready, so that it may have no "
                "configuration or no certificate",
                "look at the proxy's log: it names the control plane or the certificate that it waits for",
            )


def _is_stuck(pod: Object, name: str) -> bool:
    status = pods.statuses(pod).get(name)
    return status is not None and not status.get("ready") and "running" in status.get("state", {})


def node_without_ztunnel(snapshot: Snapshot) -> Iterator[Found]:
    """Pods in ambient mode on nodes without a ztunnel, for example because of a taint: their connections fail."""
    served = {_node(one) for one in snapshot.pods() if pods.is_ztunnel(one)}
    enrolled = [one for one in snapshot.pods() if pods.is_ambient(one) and _node(one) not in served]
    for owner, found in pods.by_owner(enrolled if served else ()):  # none: ztunnel's pods were not read
        nodes = ", ".join(sorted({_node(one) for one in found}))
        yield Found(
            Severity.ERROR,
            f"workload {owner}",
            f"{len(found)} of its pods are on nodes without a pod of ztunnel ({nodes}): their connections fail",
            "let ztunnel's DaemonSet run on every node: look at its nodeSelector, affinity and tolerations",
        )


def _node(pod: Object) -> str:
    return str(pod.get("spec", {}).get("nodeName", ""))


def rejected(snapshot: Snapshot) -> Iterator[Found]:
    """Proxies that reject istiod's configuration, and keep the old one."""
    for one in snapshot.of(Kind.PROXY):
        for kind, resources in one["resources"].items():
            if resources["lastError"]:
                yield Found(
                    Severity.ERROR,
                    f"proxy {namespace_of(one)}/{name_of(one)}",
                    f"it rejects {kind}s and goes on with older ones: {resources['lastError']}",
                    "mend or delete the resource that it comes from, often an EnvoyFilter",
                )


def not_in_sync(snapshot: Snapshot) -> Iterator[Found]:
    """Proxies that have not acknowledged what istiod sent to them for a minute."""
    for one in snapshot.of(Kind.PROXY):
        late = [kind for kind, resources in one["resources"].items() if _is_late(snapshot, resources)]
        if late:
            yield Found(
                Severity.ERROR,
                f"proxy {namespace_of(one)}/{name_of(one)}",
                f"it has not acknowledged the newest {', '.join(sorted(late))}: it may run old configuration",
                "look at the proxy's log, and restart the workload if it is stuck",
            )


def _is_late(snapshot: Snapshot, resources: Object) -> bool:
    if resources["sent"] == resources["acked"] or resources["lastError"]:
        return False
    try:
        sent = datetime.datetime.fromisoformat(resources["sentTime"])
    except ValueError:
        return True  # an istiod that does not say when: some release before it did
    return snapshot.taken - sent > UNANSWERED


def stale_anchors(snapshot: Snapshot) -> Iterator[Found]:
    """Proxies of Linkerd that were started before a trust anchor was added: they read anchors only at their start."""
    anchors = [
        one
        for config in snapshot.config("linkerd-identity-trust-roots")
        for one in certificates.in_pem((config.get("data") or {}).get("ca-bundle.crt", ""))
    ]
    for owner, found in pods.by_owner(one for one in snapshot.pods() if pods.proxy(one, pods.LINKERD_PROXY)):
        trusted = certificates.in_pem(_trusted(found[0]))
        if trusted and (missing := [one for one in anchors if one not in trusted]):
            yield Found(
                Severity.ERROR,
                f"workload {owner}",
                f"its proxy does not know the trust anchor {certificates.subject(missing[0])}, and refuses peers "
                "whose issuer is under it",
                "restart the workload before the issuer changes",
            )


def _trusted(pod: Object) -> str:
    proxy = pods.proxy(pod, pods.LINKERD_PROXY) or {}
    return next((str(one.get("value", "")) for one in proxy.get("env") or () if one["name"] == ANCHORS), "")
