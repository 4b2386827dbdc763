"""Certificates in PEM, and how long they are valid."""

import base64
import binascii
import datetime

from cryptography import x509

END = "-----END CERTIFICATE-----"


def in_pem(text: str) -> list[x509.Certificate]:
    """The certificates in a text; none if it holds none that can be read."""
    found = []
    for block in text.split(END)[:-1]:
        _, begin, body = block.rpartition("-----BEGIN CERTIFICATE-----")
        if begin:
            try:
                found.append(x509.load_pem_x509_certificate(f"{begin}{body}{END}\n".encode()))
            except ValueError:
                continue  # a block that is no certificate is no issuer either
    return found


def in_bundle(encoded: str) -> list[x509.Certificate]:
    """The certificates in the ``caBundle`` of a webhook, which is PEM in base64."""
    try:
        return in_pem(base64.b64decode(encoded, validate=True).decode("ascii"))
    except (binascii.Error, UnicodeDecodeError):
        return []


def subject(certificate: x509.Certificate) -> str:
    """The subject, or the serial number if there is none."""
    return certificate.subject.rfc4514_string() or f"serial number {certificate.serial_number:x}"


def days_left(certificate: x509.Certificate, now: datetime.datetime) -> int:
    """Whole days until it expires; negative afterwards."""
    return (certificate.not_valid_after_utc - now).days
