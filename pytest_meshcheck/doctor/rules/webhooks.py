"""The webhooks by which meshes inject proxies and validate resources."""

import re
from collections.abc import Iterator

from pytest_meshcheck.doctor.finding import Found, Severity
from pytest_meshcheck.doctor.snapshot import Kind, Snapshot, called, labels_of, namespace_of
from pytest_meshcheck.platforms.kubernetes.api.server import Object

OF_MESH = re.compile(r"(?:\.|^)(?:istio\.io|linkerd\.io|cilium\.io)$")
"""The domain of a webhook of a mesh, e.g. ``rev.namespace.sidecar-injector.istio.io``."""

SERVICE = "kubernetes.io/service-name"


def mesh_webhooks(snapshot: Snapshot) -> Iterator[tuple[Kind, Object, Object]]:
    """The webhooks of meshes: the kind of their configuration, the configuration, the webhook."""
    for kind in (Kind.MUTATING_WEBHOOK, Kind.VALIDATING_WEBHOOK):
        for configuration in snapshot.of(kind):
            for hook in configuration.get("webhooks") or ():
                if OF_MESH.search(hook["name"]):
                    yield kind, configuration, hook


def no_endpoints(snapshot: Snapshot) -> Iterator[Found]:
    """Webhooks whose service has no ready endpoint."""
    seen = set()
    for kind, configuration, hook in mesh_webhooks(snapshot):
        service = hook.get("clientConfig", {}).get("service")
        if not service or (key := (called(kind, configuration), service["namespace"], service["name"])) in seen:
            continue
        seen.add(key)
        if not _has_endpoints(snapshot, service["namespace"], service["name"]) and _slices_read(snapshot, service):
            ignored = hook.get("failurePolicy") == "Ignore"
            yield Found(
                Severity.ERROR,
                called(kind, configuration),
                f"its service {service['namespace']}/{service['name']} has no ready endpoint: "
                + ("what it injects or checks is left out silently" if ignored else "what it matches is refused"),
                "start the control plane, or delete the configuration if the mesh is gone",
            )


def _slices_read(snapshot: Snapshot, service: Object) -> bool:
    """Whether the endpoints could be read at all: none is then a fact."""
    return not any(one.what == Kind.ENDPOINT_SLICE for one in snapshot.unread)


def _has_endpoints(snapshot: Snapshot, namespace: str, service: str) -> bool:
    return any(
        endpoint.get("conditions", {}).get("ready", True)
        for one in snapshot.of(Kind.ENDPOINT_SLICE)
        if namespace_of(one) == namespace and labels_of(one).get(SERVICE) == service
        for endpoint in one.get("endpoints") or ()
    )


def failures_ignored(snapshot: Snapshot) -> Iterator[Found]:
    """Injection that is left out while the webhook is away."""
    for configuration in snapshot.of(Kind.MUTATING_WEBHOOK):
        ignored = [
            hook["name"]
            for kind, one, hook in mesh_webhooks(snapshot)
            if one is configuration and hook.get("failurePolicy") == "Ignore"
        ]
        if ignored:
            yield Found(
                Severity.WARNING,
                called(Kind.MUTATING_WEBHOOK, configuration),
                f"failurePolicy is Ignore ({ignored[0]}): pods that start while the injector is away "
                "have no proxy, and send plaintext",
                "set failurePolicy: Fail and run several replicas of the injector",
            )
