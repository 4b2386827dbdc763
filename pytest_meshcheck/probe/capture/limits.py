"""How much a recorder keeps."""

LIMIT = 64 << 20
"""Bytes that a recorder keeps. Beyond it nothing can be said about what was not there."""

EXCERPT = 4096
