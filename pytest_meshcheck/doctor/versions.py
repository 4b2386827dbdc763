"""Versions of meshes: read from images and compared line by line."""

import re
from collections.abc import Sequence
from functools import cache

from packaging.version import InvalidVersion, Version

TAG = re.compile(r":v?((?:edge-|stable-|version-)?\d+\.\d+[^/]*)")
PREFIX = re.compile(r"^(?:v|edge-|stable-|version-)")
NUMBERS = re.compile(r"\d+\.\d+(?:\.\d+)?")
VARIANT = re.compile(r"-(?:distroless|debug|ubi8|fips).*$")


def in_image(image: str) -> str:
    """The version in the tag of an image, e.g. ``1.30.3``; empty if there is none."""
    found = TAG.search(image.partition("@")[0])
    return VARIANT.sub("", found[1]) if found else ""


FIRST_EDGE = 18
"""The year of Linkerd's first edge releases."""


@cache
def parsed(text: str) -> Version | None:
    """A version that can be compared; None if the text is none. ``edge-26.8.3`` and ``v1.34.4-gke.12`` are ones.

    What vendors append is left out; what precedes a release, such as ``-rc.0``, is not.
    """
    bare = VARIANT.sub("", PREFIX.sub("", text))
    try:
        return Version(bare)
    except InvalidVersion:
        numbers = NUMBERS.match(bare)
        return Version(numbers[0]) if numbers else None


def line(version: Version) -> tuple[int, int]:
    """The release line, e.g. ``(1, 30)``."""
    return version.major, version.minor


def is_before(text: str, fixed: Sequence[str], since: str = "") -> bool:
    """Whether a version lacks a fix that went into these releases, at most one in each line.

    A line without such a release lacks the fix if a newer line has one. A text that is no version lacks nothing.
    Linkerd's edge releases, which have dates for versions, are compared with one another only.
    """
    version, begun = parsed(text), parsed(since)
    if version is None or (begun and version < begun):
        return False
    releases = [one for one in map(parsed, fixed) if one and is_dated(one) == is_dated(version)]
    following = [one for one in releases if line(one) >= line(version)]
    return bool(following) and version < min(following)


def is_dated(version: Version) -> bool:
    """Whether it is an edge release of Linkerd, e.g. ``26.8.3`` of August 2026."""
    return version.major >= FIRST_EDGE
