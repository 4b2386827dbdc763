"""Removal of private keys from everything that is shown or kept."""

import re

KEY_BLOCK = re.compile(r"-+ ?BEGIN [A-Z0-9 ]*PRIVATE KEY.*?(?:END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-*|\Z)", re.DOTALL)
"""A PEM block of any kind of private key; one that was cut off ends with the text."""


def redacted(text: str) -> str:
    """The text without PEM private keys, even with escaped newlines or a missing end."""
    return KEY_BLOCK.sub("[private key]", text)
