"""Detection of sidecar and ambient mode in a pre-installed Istio."""

from pytest_meshcheck.meshes.kubernetes.modes import InstalledMode, Trace
from pytest_meshcheck.meshes.kubernetes.readiness import DAEMON_SETS

ZTUNNEL = Trace("there is a DaemonSet ztunnel", DAEMON_SETS, name="ztunnel")
INJECTED = (
    # traces of sidecars next to ztunnel: the injection webhook is no trace, it exists in ambient mode as well
    Trace("there are namespaces labelled istio-injection=enabled", "/api/v1/namespaces", "istio-injection=enabled"),
    Trace(
        "there are namespaces labelled istio.io/rev",
        "/api/v1/namespaces",
        "istio.io/rev,istio.io/dataplane-mode!=ambient",
    ),
)

MODES = (
    InstalledMode(("istio-ambient",), "in ambient mode", (ZTUNNEL,)),
    InstalledMode(("istio", "istio-httproute"), "in sidecar mode", INJECTED, "there is no DaemonSet ztunnel"),
)
"""https://istio.io/latest/docs/overview/dataplane-modes/"""
