"""The table of the doctor's rules."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pytest_meshcheck.checks.described import one_line
from pytest_meshcheck.doctor.finding import Finding, Found, worst_first
from pytest_meshcheck.doctor.rules import (
    certificates,
    cilium,
    data_planes,
    enrolment,
    installation,
    policy,
    reading,
    webhooks,
    workloads,
)
from pytest_meshcheck.doctor.snapshot import Snapshot

ISTIO = "https://istio.io/latest/docs"
LINKERD = "https://linkerd.io/2"
VALIDITY = "https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.5"
CILIUM = "https://docs.cilium.io/en/stable"
KUBERNETES = "https://kubernetes.io/docs"
GATEWAY_API = "https://gateway-api.sigs.k8s.io"


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        id: ``topic.name``, stable: reports name it.
        find: Yields what it finds in a snapshot.
        source: What it relies on; a URL. A finding can name one of its own.
    """

    id: str
    find: Callable[[Snapshot], Iterator[Found]]
    source: str

    @property
    def about(self) -> str:
        """What it looks for: the first line of its function's docstring."""
        return (self.find.__doc__ or "").partition("\n")[0].rstrip(".")


RULES = (
    # id, function, source
    Rule("reading.unread", reading.unread, f"{KUBERNETES}/reference/access-authn-authz/rbac/"),
    Rule("installation.installed", installation.installed, ""),
    Rule("installation.not-ready", installation.not_ready, f"{KUBERNETES}/concepts/workloads/controllers/"),
    Rule("installation.kubernetes", installation.kubernetes, ""),
    Rule("installation.known-bug", installation.known_bugs, ""),
    Rule("installation.gateway-api", installation.gateway_api, f"{GATEWAY_API}/concepts/versioning/"),
    Rule("installation.several-meshes", installation.several_meshes, f"{LINKERD}/features/automatic-mtls/"),
    Rule(
        "installation.retries-without-effect",
        installation.retries_without_effect,
        "https://github.com/cilium/cilium/issues/46432",
    ),
    Rule("data-plane.istio-skew", data_planes.istio_skew, f"{ISTIO}/releases/supported-releases/"),
    Rule("data-plane.node-skew", data_planes.node_skew, f"{ISTIO}/ambient/upgrade/helm/"),
    Rule(
        "data-plane.node-without-ztunnel",
        data_planes.node_without_ztunnel,
        f"{ISTIO}/ambient/architecture/data-plane/",
    ),
    Rule("data-plane.linkerd-skew", data_planes.linkerd_skew, f"{LINKERD}/tasks/upgrade/"),
    Rule("data-plane.proxy-not-ready", data_planes.proxy_not_ready, f"{ISTIO}/ops/diagnostic-tools/proxy-cmd/"),
    Rule("data-plane.rejected", data_planes.rejected, f"{ISTIO}/ops/diagnostic-tools/proxy-cmd/"),
    Rule("data-plane.not-in-sync", data_planes.not_in_sync, f"{ISTIO}/ops/diagnostic-tools/proxy-cmd/"),
    Rule(
        "data-plane.stale-anchors",
        data_planes.stale_anchors,
        f"{LINKERD}/tasks/manually-rotating-control-plane-tls-credentials/",
    ),
    Rule(
        "enrolment.without-sidecar",
        enrolment.without_sidecar,
        f"{ISTIO}/setup/additional-setup/sidecar-injection/",
    ),
    Rule("enrolment.opted-out", enrolment.opted_out, f"{ISTIO}/setup/additional-setup/sidecar-injection/"),
    Rule("enrolment.host-network", enrolment.host_network, f"{ISTIO}/setup/additional-setup/sidecar-injection/"),
    Rule("enrolment.not-redirected", enrolment.not_redirected, f"{ISTIO}/ambient/usage/add-workloads/"),
    Rule("enrolment.unknown-revision", enrolment.unknown_revision, f"{ISTIO}/setup/upgrade/canary/"),
    Rule(
        "enrolment.contradicting-labels",
        enrolment.contradicting_labels,
        f"{ISTIO}/setup/additional-setup/sidecar-injection/",
    ),
    Rule("enrolment.missing-waypoint", enrolment.missing_waypoint, "https://github.com/istio/istio.io/pull/17520"),
    Rule(
        "webhooks.no-endpoints",
        webhooks.no_endpoints,
        f"{KUBERNETES}/reference/access-authn-authz/extensible-admission-controllers/",
    ),
    Rule(
        "webhooks.failures-ignored",
        webhooks.failures_ignored,
        f"{KUBERNETES}/reference/access-authn-authz/extensible-admission-controllers/#failure-policy",
    ),
    Rule(
        "certificates.webhook-authority",
        certificates.webhook_authorities,
        f"{LINKERD}/tasks/rotating_webhooks_certificates/",
    ),
    Rule("certificates.root", certificates.roots, VALIDITY),
    Rule("certificates.issuer", certificates.issuers, VALIDITY),
    Rule(
        "certificates.issuer-outlives-root",
        certificates.issuers_that_outlive_roots,
        "https://www.rfc-editor.org/rfc/rfc5280#section-6.1.3",
    ),
    Rule("certificates.issuer-not-read", certificates.issuers_not_read, ""),
    Rule(
        "certificates.stale-copy", certificates.stale_copies, f"{ISTIO}/tasks/security/cert-management/plugin-ca-cert/"
    ),
    Rule("policy.permissive", policy.permissive, f"{ISTIO}/tasks/security/authentication/mtls-migration/"),
    Rule(
        "policy.default-is-permissive",
        policy.default_is_permissive,
        f"{ISTIO}/concepts/security/#peer-authentication",
    ),
    Rule(
        "policy.plaintext-clients",
        policy.plaintext_clients,
        f"{ISTIO}/reference/config/networking/destination-rule/#ClientTLSSettings-TLSmode",
    ),
    Rule("policy.envoy-filter", policy.envoy_filters, f"{ISTIO}/reference/config/networking/envoy-filter/"),
    Rule(
        "policy.linkerd-admits-plaintext",
        policy.linkerd_admits_plaintext,
        f"{LINKERD}/features/server-policy/",
    ),
    Rule("cilium.under-another-mesh", cilium.under_another_mesh, ""),
    Rule(
        "cilium.kube-proxy-replacement",
        cilium.kube_proxy_replacement,
        f"{CILIUM}/network/kubernetes/kubeproxy-free/#socket-loadbalancer-bypass-in-pod-namespace",
    ),
    Rule("cilium.encrypted-twice", cilium.encrypted_twice, f"{CILIUM}/security/network/encryption/"),
    Rule(
        "cilium.authentication-without-encryption",
        cilium.authentication_without_encryption,
        "https://github.com/cilium/cilium.io/pull/939",
    ),
    Rule("cilium.l7-proxy-off", cilium.l7_proxy_off, f"{CILIUM}/security/policy/language/#layer-7-examples"),
    Rule(
        "workloads.without-readiness",
        workloads.without_readiness,
        f"{KUBERNETES}/concepts/workloads/pods/pod-lifecycle/#container-probes",
    ),
    Rule(
        "workloads.capabilities",
        workloads.capabilities,
        f"{KUBERNETES}/concepts/security/pod-security-standards/#baseline",
    ),
)


def examine(snapshot: Snapshot) -> tuple[Finding, ...]:
    """What all rules find in a snapshot, the worst first."""
    return worst_first(_named(rule, found) for rule in RULES for found in rule.find(snapshot))


def _named(rule: Rule, found: Found) -> Finding:
    # Annotations and subjects of a cluster are anybody's text.
    return Finding(
        rule=rule.id,
        severity=found.severity,
        object=one_line(found.object),
        why=one_line(found.why),
        advice=found.advice,
        source=found.source or rule.source,
    )
