"""Released versions of meshes with known faults of the kind that the suite tests."""

import enum
from dataclasses import dataclass

from pytest_meshcheck.doctor.finding import Severity
from pytest_meshcheck.doctor.installed import Product


class DataPlaneMode(enum.StrEnum):
    """The form of data planes that a bug is about."""

    ANY = ""
    SIDECAR = "sidecars"
    AMBIENT = "ambient"


@dataclass(frozen=True)
class Bug:
    """A fault of released versions.

    Attributes:
        product: The mesh.
        mode: The data planes that have it.
        since: The first version with it; empty if it was always there.
        fixed: The first version without it in each line; empty if none was known when this table was written.
        severity: Error if it admits unauthorized callers, or sends data in plaintext.
        what: The fault.
        link: The issue, note or advisory.
    """

    product: Product
    mode: DataPlaneMode
    since: str
    fixed: tuple[str, ...]
    severity: Severity
    what: str
    link: str


ISTIO, LINKERD, CILIUM = Product.ISTIO, Product.LINKERD, Product.CILIUM
ANY, SIDECAR, AMBIENT = DataPlaneMode.ANY, DataPlaneMode.SIDECAR, DataPlaneMode.AMBIENT
ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

ISTIO_ISSUES = "https://github.com/istio/istio/issues"
NOTES = "https://github.com/istio/istio/blob/master/releasenotes/notes"
BULLETIN = "https://istio.io/latest/news/security"
LINKERD_REPOSITORY = "https://github.com/linkerd/linkerd2"
ADVISORY = "https://github.com/advisories"
NO_STABLE = "2.15"
"""After the last stable release of Linkerd, 2.14.10: none of them has the fix."""

KNOWN_BUGS = (
    # product, mode, first version with it, first versions without it, severity, what is wrong, link
    Bug(ISTIO, AMBIENT, "", ("1.22.8", "1.23.5", "1.24.3"), ERROR,
        "two STRICT ports in one PeerAuthentication act as PERMISSIVE", f"{ISTIO_ISSUES}/54146"),
    Bug(ISTIO, ANY, "", ("1.27.0",), ERROR,
        "switching telemetry labels off also switches mutual TLS off", f"{ISTIO_ISSUES}/56352"),
    Bug(ISTIO, SIDECAR, "", ("1.31.0-beta.0",), ERROR,
        "a pod may start without its inbound configuration for a ServiceEntry, and never gets it",
        f"{ISTIO_ISSUES}/61157"),
    Bug(ISTIO, ANY, "", ("1.28.6", "1.29.2"), ERROR,
        "a dot in an AuthorizationPolicy's serviceAccounts matches any character (CVE-2026-39350)",
        f"{BULLETIN}/istio-security-2026-003/"),
    Bug(ISTIO, ANY, "", ("1.27.8", "1.28.5", "1.29.1"), ERROR,
        "forged tokens are accepted while the keys of a JWT issuer cannot be fetched (CVE-2026-31837)",
        f"{BULLETIN}/istio-security-2026-001/"),
    Bug(ISTIO, AMBIENT, "", ("1.22.2", "1.23.0"), ERROR,
        "policies with a selector apply to workloads of other namespaces", f"{ISTIO_ISSUES}/51556"),
    Bug(ISTIO, ANY, "", ("1.25.0",), ERROR,
        "an extension whose Wasm image cannot be fetched is replaced by one that allows everything",
        f"{ISTIO_ISSUES}/53279"),
    Bug(ISTIO, ANY, "", ("1.15.7", "1.16.4", "1.17.2"), ERROR,
        "clients can forge x-envoy-original-path (CVE-2023-27487)", f"{BULLETIN}/istio-security-2023-001/"),
    Bug(ISTIO, AMBIENT, "", ("1.31.0-beta.2",), ERROR,
        "the CNI plugin may take the network of another pod, and with it the wrong identity",
        f"{NOTES}/validate-netns-ownership.yaml"),
    Bug(ISTIO, AMBIENT, "", ("1.28.8", "1.29.4", "1.30.1"), WARNING,
        "one service with publishNotReadyAddresses sends requests of all to pods that are not ready",
        f"{NOTES}/60423.yaml"),
    Bug(ISTIO, AMBIENT, "", ("1.31.0-beta.0",), WARNING, "waypoints ignore consistent hashing", f"{NOTES}/61045.yaml"),
    Bug(ISTIO, ANY, "", ("1.28.6", "1.29.2"), WARNING,
        "a retryBudget without a percentage allows 0.2 % instead of 20 %", f"{ISTIO_ISSUES}/59504"),
    Bug(ISTIO, ANY, "", ("1.19.7", "1.20.3"), WARNING,
        "Envoy crashes if idle and per-try timeouts end within a back-off (CVE-2024-23322)",
        f"{BULLETIN}/istio-security-2024-001/"),
    Bug(ISTIO, AMBIENT, "", ("1.23.0",), WARNING,
        "ztunnel loses buffered bytes on partial writes", "https://github.com/istio/ztunnel/issues/1196"),
    Bug(ISTIO, ANY, "", ("1.24.3",), WARNING, "the percentage of mirrored requests is wrong", f"{NOTES}/54357.yaml"),
    Bug(ISTIO, ANY, "", ("1.28.7", "1.29.3"), WARNING,
        "certificates may outlive their issuer, and the chain is invalid before renewal", f"{ISTIO_ISSUES}/59768"),
    Bug(ISTIO, ANY, "", ("1.30.0",), WARNING,
        "a bundle of authorities is not taken over if its certificates come in another order", f"{ISTIO_ISSUES}/59909"),
    Bug(ISTIO, ANY, "", ("1.27.0",), WARNING,
        "changed files of the authority are read only if certain ones of them change",
        f"{NOTES}/cacerts-file-watcher-bug.yaml"),
    Bug(ISTIO, ANY, "", ("1.31.0",), WARNING,
        "a changed root alone is not read by istiod", f"{NOTES}/istiod-root-cert-file-watch.yaml"),
    Bug(ISTIO, ANY, "", ("1.25.0",), WARNING,
        "old JWT keys may stay after their rotation", f"{NOTES}/54118.yaml"),
    Bug(ISTIO, AMBIENT, "", ("1.23.0",), WARNING,
        "a ztunnel that ends still takes new connections", "https://github.com/istio/ztunnel/pull/1176"),
    Bug(ISTIO, AMBIENT, "", ("1.28.0",), WARNING,
        "waypoints have two seconds to drain", f"{NOTES}/waypoint-termination-grace-period.yaml"),
    Bug(ISTIO, AMBIENT, "", ("1.30.3",), WARNING,
        "waypoints that drain never notice that no connection is left", f"{NOTES}/60731.yaml"),
    Bug(ISTIO, ANY, "", ("1.31.0-beta.0",), WARNING,
        "istiod is ready before its webhook: pods that start right then are refused", f"{NOTES}/61049.yaml"),
    Bug(ISTIO, AMBIENT, "", ("1.22.1",), WARNING,
        "half-closed connections are closed, which cuts data off", "https://github.com/istio/ztunnel/pull/1067"),
    Bug(ISTIO, ANY, "", ("1.25.5", "1.26.4", "1.27.1"), WARNING,
        "the support of HTTP/1.0 is overridden by a later option", f"{NOTES}/57528.yaml"),
    Bug(LINKERD, ANY, "", (NO_STABLE, "edge-26.5.2"), ERROR,
        "a Server acts on pods of other namespaces", f"{LINKERD_REPOSITORY}/issues/15223"),
    Bug(LINKERD, ANY, "", (NO_STABLE, "edge-26.6.2"), ERROR,
        "ExternalWorkloads of another namespace become endpoints of a Service", f"{LINKERD_REPOSITORY}/pull/15324"),
    Bug(LINKERD, ANY, "", (NO_STABLE, "edge-26.6.2"), ERROR,
        "an identity stays allowed after its MeshTLSAuthentication is deleted", f"{LINKERD_REPOSITORY}/pull/15326"),
    Bug(LINKERD, ANY, "", (NO_STABLE, "edge-25.2.2"), ERROR,
        "which of overlapping Servers and routes applies is random", f"{LINKERD_REPOSITORY}/pull/13676"),
    Bug(LINKERD, ANY, "", (NO_STABLE, "edge-26.1.2"), WARNING,
        "one HTTPRoute with an unknown filter stops all changes of policies", f"{LINKERD_REPOSITORY}/issues/14741"),
    Bug(LINKERD, ANY, "edge-25.4.4", ("edge-25.5.6",), WARNING,
        "a retry policy loses the first frame of gRPC answers", f"{LINKERD_REPOSITORY}/issues/14050"),
    Bug(LINKERD, ANY, "", (NO_STABLE, "edge-24.10.5"), WARNING,
        "a timeout is reported to gRPC clients as UNAVAILABLE",
        "https://github.com/linkerd/linkerd2-proxy/pull/3302"),
    Bug(LINKERD, ANY, "2.13", ("2.14.2", "edge-23.10.3"), WARNING,
        "endpoints go stale until the control plane restarts", f"{LINKERD_REPOSITORY}/issues/11480"),
    Bug(LINKERD, ANY, "", (), INFO,
        "clients fall back to plaintext for endpoints without an identity; it was open in August 2026",
        f"{LINKERD_REPOSITORY}/issues/15615"),
    Bug(LINKERD, ANY, "", (), INFO,
        "a retry before the body was read sends its first part twice; it was open in September 2026",
        f"{LINKERD_REPOSITORY}/issues/15649"),
    Bug(CILIUM, ANY, "", ("1.14.7",), ERROR,
        "answers of pods to the Ingress are not encrypted (CVE-2024-25630)", f"{ADVISORY}/GHSA-7496-fgv9-xw82"),
    Bug(CILIUM, ANY, "", ("1.15.16", "1.16.9", "1.17.3"), ERROR,
        "packets of pods that terminate may not be encrypted (CVE-2025-32793)", f"{ADVISORY}/GHSA-5vxx-c285-pcq4"),
    Bug(CILIUM, ANY, "", ("1.17.14", "1.18.8", "1.19.2"), ERROR,
        "policies are not enforced for L7 services with a backend on the same node (CVE-2026-33726)",
        f"{ADVISORY}/GHSA-hxv8-4j4r-cqgv"),
    Bug(CILIUM, ANY, "", ("1.11.16", "1.12.9", "1.13.2"), ERROR,
        "allowing everything to one peer widens the HTTP rules of others (CVE-2023-30851)",
        f"{ADVISORY}/GHSA-2h44-x2wx-49f4"),
    Bug(CILIUM, ANY, "", ("1.12.14", "1.13.7", "1.14.2"), ERROR,
        "whoever can label a pod can change its identity (CVE-2023-39347)", f"{ADVISORY}/GHSA-gj2r-phwg-6rww"),
    Bug(CILIUM, ANY, "1.15.0", ("1.15.8", "1.16.1"), ERROR,
        "a revoked ReferenceGrant keeps working (CVE-2024-42486)", f"{ADVISORY}/GHSA-vwf8-q6fw-4wcm"),
    Bug(CILIUM, ANY, "", ("1.17.16", "1.18.10", "1.19.4"), ERROR,
        "a redirect policy takes the traffic for a host of another namespace (CVE-2026-53935)",
        f"{ADVISORY}/GHSA-q6h5-q3q6-f87x"),
    Bug(CILIUM, ANY, "1.17.0", ("1.20.0",), WARNING,
        "the retry stanza of an HTTPRoute has no effect", "https://github.com/cilium/cilium/issues/46432"),
)  # fmt: skip
