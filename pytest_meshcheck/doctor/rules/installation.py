"""What is installed, and whether it fits: versions, Kubernetes, known bugs, two meshes at once."""

from collections.abc import Iterable, Iterator

from pytest_meshcheck.doctor import pods, versions
from pytest_meshcheck.doctor.finding import Found, Severity
from pytest_meshcheck.doctor.installed import Component, Product, components, control_planes, has, is_ambient
from pytest_meshcheck.doctor.known_bad import KNOWN_BUGS, DataPlaneMode
from pytest_meshcheck.doctor.snapshot import Kind, Snapshot, annotations_of, called, name_of, some
from pytest_meshcheck.doctor.supported import GATEWAY_API, KUBERNETES, Supported

BUNDLE = "gateway.networking.k8s.io/bundle-version"
CHANNEL = "gateway.networking.k8s.io/channel"
GATEWAY_API_GROUP = ".gateway.networking.k8s.io"


def installed(snapshot: Snapshot) -> Iterator[Found]:
    """The workloads of meshes with their versions."""
    found = list(components(snapshot))
    for one in found:
        version = one.version or "of an unknown version: its image has none in its tag"
        yield Found(
            Severity.INFO, one.name, f"{one.product} {version}, {one.role}, on Kubernetes {snapshot.kubernetes}"
        )
    if not found:
        yield Found(Severity.INFO, "cluster", f"no Istio, Linkerd or Cilium found on Kubernetes {snapshot.kubernetes}")


def not_ready(snapshot: Snapshot) -> Iterator[Found]:
    """Workloads of meshes without the ready pods that they want."""
    for one in components(snapshot):
        ready, wanted = _ready(one)
        if ready < wanted or not wanted:
            yield Found(
                Severity.WARNING if ready else Severity.ERROR,
                one.name,
                f"{ready} of {wanted} pods of the {one.role} of {one.product} are ready"
                if wanted
                else f"the {one.role} of {one.product} has no pods: it is scaled to zero, or fits on no node",
                "look at its events and logs: new pods and changes of policies may wait for it",
            )


def _ready(one: Component) -> tuple[int, int]:
    status = one.item.get("status", {})
    if one.kind is Kind.DAEMON_SET:
        return status.get("numberReady", 0), status.get("desiredNumberScheduled", 0)
    return status.get("readyReplicas", 0), one.item.get("spec", {}).get("replicas", 1)


def kubernetes(snapshot: Snapshot) -> Iterator[Found]:
    """Releases on a Kubernetes that they do not support."""
    for plane in control_planes(snapshot):
        for row in _rows(plane, KUBERNETES):
            if (side := _beyond(snapshot.kubernetes, row)) is not None:
                yield Found(
                    Severity.WARNING,
                    plane.name,
                    f"{plane.product} {plane.version} supports Kubernetes {_range(row)}, "
                    f"the cluster has {snapshot.kubernetes}",
                    f"use {'a newer' if side > 0 else 'an older'} {plane.product}, or another Kubernetes",
                    row.source,
                )


def known_bugs(snapshot: Snapshot) -> Iterator[Found]:
    """Control planes of versions with known faults."""
    modes = set(_modes(snapshot))
    for plane in control_planes(snapshot):
        for bug in KNOWN_BUGS:
            if bug.product is not plane.product or bug.mode not in modes:
                continue
            if versions.is_before(plane.version, bug.fixed, bug.since):
                fixed = " or ".join(bug.fixed)
                advice = f"upgrade, and restart the data planes; it is fixed in {fixed}"
                yield Found(bug.severity, plane.name, f"{plane.product} {plane.version}: {bug.what}", advice, bug.link)
            elif not bug.fixed:
                yield Found(bug.severity, plane.name, f"{plane.product} {plane.version}: {bug.what}", "", bug.link)


def _modes(snapshot: Snapshot) -> Iterator[DataPlaneMode]:
    yield DataPlaneMode.ANY
    ambient = is_ambient(snapshot)
    if ambient:
        yield DataPlaneMode.AMBIENT
    if not ambient or any(pods.proxy(one, pods.ISTIO_PROXY) and not pods.is_gateway(one) for one in snapshot.pods()):
        yield DataPlaneMode.SIDECAR


def gateway_api(snapshot: Snapshot) -> Iterator[Found]:
    """Definitions of the Gateway API that are older or newer than a mesh wants, or of several releases."""
    found = [one for one in snapshot.of(Kind.DEFINITION) if name_of(one).endswith(GATEWAY_API_GROUP)]
    releases = {annotations_of(one).get(BUNDLE, "unknown") for one in found}
    channels = {annotations_of(one).get(CHANNEL, "unknown") for one in found}
    if len(releases) > 1 or len(channels) > 1:
        yield Found(
            Severity.WARNING,
            "definitions of the Gateway API",
            f"they are of several releases or channels: {some(releases | channels, most=6)}",
            "apply all definitions of one release and channel",
        )
    for plane in control_planes(snapshot):
        for row in _rows(plane, GATEWAY_API):
            for release in sorted(releases):
                if (side := _beyond(release, row)) is not None:
                    yield Found(
                        Severity.WARNING,
                        "definitions of the Gateway API",
                        f"{plane.product} {plane.version} is made for release {_range(row)}, the cluster has "
                        f"{release}: "
                        + ("new fields have no effect" if side > 0 else "some of its fields are missing"),
                        f"apply the definitions of release {_range(row)}",
                        row.source,
                    )


def several_meshes(snapshot: Snapshot) -> Iterator[Found]:
    """Two meshes that proxy the traffic of pods, and pods that have the proxies of both."""
    if not (has(snapshot, Product.ISTIO) and has(snapshot, Product.LINKERD)):
        return
    planes = some(one.name for one in control_planes(snapshot, Product.ISTIO, Product.LINKERD))
    yield Found(
        Severity.WARNING,
        planes,
        "Istio and Linkerd are both installed: calls between their workloads are plaintext, and refused by strict mTLS",
        "keep each namespace in one mesh, and know which calls cross the border",
    )
    for owner, found in pods.by_owner(filter(_has_both, snapshot.pods())):
        yield Found(
            Severity.ERROR,
            f"workload {owner}",
            f"{len(found)} of its pods belong to both meshes, which redirect the same traffic",
            "remove it from one of the two, and restart it",
        )


def _has_both(pod: dict[str, object]) -> bool:
    istio = pods.proxy(pod, pods.ISTIO_PROXY) or pods.is_ambient(pod)
    return bool(istio and pods.proxy(pod, pods.LINKERD_PROXY))


def retries_without_effect(snapshot: Snapshot) -> Iterator[Found]:
    """HTTPRoutes with retries on a Cilium that never retries."""
    planes = control_planes(snapshot, Product.CILIUM)
    if has(snapshot, Product.ISTIO) or has(snapshot, Product.LINKERD):
        return  # the routes may be theirs
    if not any(versions.is_before(one.version, ("1.20.0",)) for one in planes):
        return
    for route in snapshot.of(Kind.HTTP_ROUTE):
        if any("retry" in rule for rule in route.get("spec", {}).get("rules") or ()):
            yield Found(
                Severity.WARNING,
                called(Kind.HTTP_ROUTE, route),
                f"its retries have no effect under Cilium {planes[0].version}",
                "upgrade to Cilium 1.20, or do not rely on them",
            )


def _rows(plane: Component, table: Iterable[Supported]) -> Iterator[Supported]:
    version = versions.parsed(plane.version)
    return (row for row in table if version and row.product is plane.product and row.line == versions.line(version))


def _beyond(text: str, row: Supported) -> int | None:
    """1 if a version is newer than supported, -1 if it is older, None if it is supported or cannot be told."""
    version, oldest, newest = (versions.parsed(one) for one in (text, row.oldest, row.newest))
    if version is None:
        return None
    if newest and versions.line(version) > versions.line(newest):
        return 1
    return -1 if oldest and versions.line(version) < versions.line(oldest) else None


def _range(row: Supported) -> str:
    if not row.newest:
        return f"{row.oldest} and newer"
    return row.oldest if row.oldest == row.newest else f"{row.oldest} to {row.newest}"
