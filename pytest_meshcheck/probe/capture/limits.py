"""How much a recorder keeps."""

LIMIT = 64 << 20
"""Bytes that a recorder keeps. Beyond it, absence cannot be shown."""

EXCERPT = 4096
