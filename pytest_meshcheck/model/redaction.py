"""Removal of private keys from everything that is shown or kept."""

import re

_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S)


def redacted(text: str) -> str:
    """The text without PEM private keys, even with escaped newlines or a missing end."""
    return _KEY.sub("[private key]", text)
