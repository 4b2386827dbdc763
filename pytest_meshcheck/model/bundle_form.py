"""Ways to write the same roots into one PEM file."""

import enum
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import serialization


class BundleForm(enum.StrEnum):
    """A form of a bundle; which roots it announces is the same in all of them."""

    PLAIN = "plain"
    """One after the other, in the order of their announcement."""
    REVERSED = "reversed"
    """The newest root first."""
    UNTERMINATED = "unterminated"
    """Without a newline at the end."""
    DOUBLED = "doubled"
    """Each root twice."""
    COMMENTED = "commented"
    """With an explanatory line before each root: https://www.rfc-editor.org/rfc/rfc7468#section-2."""


def written(roots: Sequence[x509.Certificate], form: BundleForm) -> bytes:
    """Roots as PEM in this form."""
    texts = [root.public_bytes(serialization.Encoding.PEM) for root in roots]
    match form:
        case BundleForm.REVERSED:
            return b"".join(reversed(texts))
        case BundleForm.UNTERMINATED:
            return b"".join(texts).rstrip(b"\n")
        case BundleForm.DOUBLED:
            return b"".join(texts) * 2
        case BundleForm.COMMENTED:
            return b"".join(f"# root {number}\n".encode() + text for number, text in enumerate(texts, 1))
        case _:
            return b"".join(texts)
