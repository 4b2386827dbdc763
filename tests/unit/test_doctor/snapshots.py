"""Snapshots from the YAML of a case, and certificates that end a number of days after them."""

import base64
import datetime
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pytest_meshcheck.doctor.snapshot import Kind, Snapshot, Unread

FOLDER = Path(__file__).parent
TAKEN = datetime.datetime(2026, 11, 28, 12, tzinfo=datetime.UTC)
LONG_AGO = TAKEN - datetime.timedelta(days=1000)
CERTIFICATE = re.compile(r"<(root|issuer|bundle) (-?\d+)>")
"""E.g. ``<root 30>``: a root that ends 30 days later; a bundle is one in base64, an issuer is under ``<root 400>``."""


@dataclass(frozen=True)
class Case:
    """A cluster, and what a rule finds there: nothing in a silent case."""

    rule: str
    name: str
    cluster: tuple[str, ...] = ()
    objects: tuple[dict[str, Any], ...] = ()
    unread: Mapping[str, str] = field(default_factory=dict)
    kubernetes: str = "v1.34.4"
    issuers: bool = False
    expect: tuple[dict[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.rule}-{self.name}"

    def snapshot(self) -> Snapshot:
        known = yaml.safe_load((FOLDER / "cluster.yaml").read_text())
        objects = [*(known[name] for name in self.cluster), *with_certificates(list(self.objects))]
        unread = tuple(Unread(what, why) for what, why in self.unread.items())
        return snapshot_of(objects, self.kubernetes, unread, issuers=self.issuers)


def snapshot_of(
    objects: Iterable[dict[str, Any]],
    kubernetes: str = "v1.34.4",
    unread: tuple[Unread, ...] = (),
    *,
    issuers: bool = False,
) -> Snapshot:
    by_kind: dict[Kind, list[dict[str, Any]]] = {}
    for one in objects:
        by_kind.setdefault(Kind(one["kind"]), []).append(one)
    return Snapshot(kubernetes, TAKEN, {kind: tuple(found) for kind, found in by_kind.items()}, unread, issuers)


def cases() -> list[Case]:
    return [
        Case(file.stem, name, **{key: _frozen(value) for key, value in (content or {}).items()})
        for file in sorted((FOLDER / "cases").glob("*.yaml"))
        for name, content in yaml.safe_load(file.read_text()).items()
        if content != "never"
    ]


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def with_certificates(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: with_certificates(one) for key, one in value.items()}
    if isinstance(value, list):
        return [with_certificates(one) for one in value]
    return (
        CERTIFICATE.sub(lambda found: certificate(found[1], int(found[2])), value) if isinstance(value, str) else value
    )


def certificate(kind: str, days: int) -> str:
    if kind == "bundle":
        return base64.b64encode(certificate("root", days).encode()).decode()
    key, issued_by = (_key("root 400"), "root 400") if kind == "issuer" else (_key(f"root {days}"), f"root {days}")
    return _signed(f"{kind} {days}", issued_by, key, days)


@cache
def _key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def _signed(name: str, issuer: str, key: ec.EllipticCurvePrivateKey, days: int) -> str:
    made = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(issuer))
        .public_key(_key(name).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(LONG_AGO)
        .not_valid_after(TAKEN + datetime.timedelta(days=days, hours=1))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
