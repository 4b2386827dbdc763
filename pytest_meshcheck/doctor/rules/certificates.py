"""Roots, issuers and the authorities of webhooks: how long they last, and whether all namespaces have them."""

import datetime
from collections.abc import Iterator

from cryptography import x509

from pytest_meshcheck.doctor import certificates
from pytest_meshcheck.doctor.finding import Found, Severity
from pytest_meshcheck.doctor.installed import Product, control_planes, has
from pytest_meshcheck.doctor.rules.webhooks import mesh_webhooks
from pytest_meshcheck.doctor.snapshot import Kind, Snapshot, called, namespace_of, some
from pytest_meshcheck.platforms.kubernetes.api.server import Object

SOON, LATE = 60, 14
"""Days before its expiry at which a certificate is a warning and an error; ``linkerd check`` warns at 60 as well."""

ROOTS = (
    # ConfigMap, key, advice
    (
        "linkerd-identity-trust-roots",
        "ca-bundle.crt",
        "rotate the trust anchor while the old one is valid; all proxies have to be restarted",
    ),
    ("istio-ca-root-cert", "root-cert.pem", "rotate the root while the old one is valid: add the new one first"),
)


def roots(snapshot: Snapshot) -> Iterator[Found]:
    """The days that roots and trust anchors last."""
    for name, key, advice in ROOTS:
        for config in _of_mesh(snapshot, name):
            found = certificates.in_pem((config.get("data") or {}).get(key, ""))
            for one in found:
                yield _lasting(called(Kind.CONFIG_MAP, config), "root", one, snapshot.taken, advice)
            if not found:
                yield Found(
                    Severity.ERROR,
                    called(Kind.CONFIG_MAP, config),
                    f"{key} holds no certificate, so that no new proxy can verify a peer",
                    "restore the root",
                )


def _of_mesh(snapshot: Snapshot, name: str) -> list[Object]:
    """The ConfigMaps in the namespaces of control planes; every namespace has a copy of Istio's."""
    places = {one.namespace for one in control_planes(snapshot, Product.ISTIO, Product.LINKERD)}
    return [one for one in snapshot.config(name) if namespace_of(one) in places]


def _lasting(name: str, what: str, one: x509.Certificate, now: datetime.datetime, advice: str) -> Found:
    days, end = certificates.days_left(one, now), one.not_valid_after_utc.date()
    who = f"the {what} {certificates.subject(one)}"
    if one.not_valid_after_utc <= now:
        return Found(Severity.ERROR, name, f"{who} expired on {end}", advice)
    severity = Severity.ERROR if days < LATE else Severity.WARNING if days < SOON else Severity.INFO
    return Found(severity, name, f"{who} expires in {days} days, on {end}", "" if severity is Severity.INFO else advice)


def issuers(snapshot: Snapshot) -> Iterator[Found]:
    """The days that issuers last."""
    for secret in snapshot.of(Kind.ISSUER):
        for one in certificates.in_pem(secret["certificate"])[:1]:
            yield _lasting(
                called("Secret", secret),
                "issuer",
                one,
                snapshot.taken,
                "issue a new one: without it no proxy gets or renews a certificate",
            )


def issuers_that_outlive_roots(snapshot: Snapshot) -> Iterator[Found]:
    """Issuers that are valid for longer than each root that could vouch for them."""
    trusted = [
        one
        for name, key, _ in ROOTS
        for config in _of_mesh(snapshot, name)
        for one in certificates.in_pem((config.get("data") or {}).get(key, ""))
    ]
    for secret in snapshot.of(Kind.ISSUER):
        for issuer in certificates.in_pem(secret["certificate"])[:1]:
            above = [one for one in trusted if one.subject == issuer.issuer and one != issuer]
            if above and issuer.not_valid_after_utc > (end := max(one.not_valid_after_utc for one in above)):
                yield Found(
                    Severity.WARNING,
                    called("Secret", secret),
                    f"the issuer is valid until {issuer.not_valid_after_utc.date()}, its root only until {end.date()}: "
                    "from then on certificates look valid and are refused",
                    "issue an issuer that ends before its root, and rotate the root in time",
                )


def issuers_not_read(snapshot: Snapshot) -> Iterator[Found]:
    """The Secrets with issuers, which are left alone unless the user asks for them."""
    if not snapshot.issuers_wanted and (has(snapshot, Product.ISTIO) or has(snapshot, Product.LINKERD)):
        yield Found(
            Severity.INFO,
            "issuers",
            "not examined: their certificates are in Secrets, beside their keys",
            "--issuers reads these Secrets, and keeps the certificates only",
        )


def stale_copies(snapshot: Snapshot) -> Iterator[Found]:
    """Namespaces whose copy of Istio's root is not the one of the control plane."""
    roots = {
        (one.get("data") or {}).get("root-cert.pem", "").strip() for one in _of_mesh(snapshot, "istio-ca-root-cert")
    }
    if len(roots) != 1:
        return
    stale = [
        namespace_of(one)
        for one in snapshot.config("istio-ca-root-cert")
        if (one.get("data") or {}).get("root-cert.pem", "").strip() not in roots
    ]
    if stale:
        yield Found(
            Severity.ERROR,
            f"ConfigMap istio-ca-root-cert in {some(stale)}",
            "its root is not that of the control plane, so that new pods there cannot verify istiod",
            "look at istiod's log; it writes these ConfigMaps",
        )


def webhook_authorities(snapshot: Snapshot) -> Iterator[Found]:
    """Webhooks that the API server cannot verify, now or soon."""
    for name, hooks in _by_configuration(snapshot).items():
        bundles = {hook["name"]: certificates.in_bundle(hook["clientConfig"].get("caBundle", "")) for hook in hooks}
        if bare := [hook for hook, found in bundles.items() if not found]:
            yield Found(
                Severity.ERROR,
                name,
                f"caBundle of {some(bare, most=1)} holds no certificate: the API server cannot call the webhook",
                "restart the control plane, which writes it, or repeat the installation",
            )
        newest = [max(found, key=lambda one: one.not_valid_after_utc) for found in bundles.values() if found]
        if newest:
            first = min(newest, key=lambda one: one.not_valid_after_utc)
            if first.not_valid_after_utc <= snapshot.taken + datetime.timedelta(days=SOON):
                yield _lasting(
                    name, "authority", first, snapshot.taken, "repeat the installation, which issues a new one"
                )


def _by_configuration(snapshot: Snapshot) -> dict[str, list[Object]]:
    found: dict[str, list[Object]] = {}
    for kind, configuration, hook in mesh_webhooks(snapshot):
        found.setdefault(called(kind, configuration), []).append(hook)
    return found
