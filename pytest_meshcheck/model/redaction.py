"""Removes private keys from everything that is shown or kept."""

import re

_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S)


def redacted(text: str) -> str:
    """The text without private keys in PEM, also where newlines are escaped or the end is cut off."""
    return _KEY.sub("[private key]", text)
