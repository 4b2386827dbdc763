"""Versions in images, and which fixes a version lacks."""

import pytest

from pytest_meshcheck.doctor.known_bad import KNOWN_BUGS
from pytest_meshcheck.doctor.supported import GATEWAY_API, KUBERNETES
from pytest_meshcheck.doctor.versions import in_image, is_before, parsed


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("docker.io/istio/pilot:1.30.3", "1.30.3"),
        ("docker.io/istio/pilot:1.30.3-distroless", "1.30.3"),
        ("localhost:5000/pilot:1.31.0-rc.0", "1.31.0-rc.0"),
        ("quay.io/cilium/cilium:v1.20.0@sha256:0123", "1.20.0"),
        ("cr.l5d.io/linkerd/controller:edge-26.8.3", "edge-26.8.3"),
        ("istio/pilot:latest", ""),
        ("istio/pilot@sha256:1234.5", ""),
        ("registry:5000/pilot", ""),
    ],
)
def test_the_version_is_in_the_tag(image: str, version: str) -> None:
    assert in_image(image) == version


@pytest.mark.parametrize(
    ("version", "fixed", "since", "lacks"),
    [
        # version, releases with the fix, first version with the bug, whether it has the bug
        ("1.28.5", ("1.28.6", "1.29.2"), "", True),
        ("1.28.6", ("1.28.6", "1.29.2"), "", False),
        ("1.28.10", ("1.28.6", "1.29.2"), "", False),
        ("1.29.1", ("1.28.6", "1.29.2"), "", True),
        ("1.27.9", ("1.28.6", "1.29.2"), "", True),
        ("1.30.0", ("1.28.6", "1.29.2"), "", False),
        ("1.31.0-alpha.1", ("1.31.0-beta.0",), "", True),
        ("1.31.0", ("1.31.0-beta.0",), "", False),
        ("1.14.0", ("1.15.8", "1.16.1"), "1.15.0", False),
        ("edge-25.5.5", ("edge-25.5.6",), "edge-25.4.4", True),
        ("edge-25.4.3", ("edge-25.5.6",), "edge-25.4.4", False),
        ("stable-2.14.10", ("2.15", "edge-26.6.2"), "", True),
        ("stable-2.14.10", ("2.14.2", "edge-23.10.3"), "", False),
        ("edge-23.10.2", ("2.14.2", "edge-23.10.3"), "", True),
        ("built-by-me", ("1.28.6",), "", False),
        ("", ("1.28.6",), "", False),
    ],
)
def test_a_version_lacks_the_fixes_of_its_line(version: str, fixed: tuple[str, ...], since: str, lacks: bool) -> None:
    assert is_before(version, fixed, since) is lacks


def test_the_tables_can_be_compared() -> None:
    for bug in KNOWN_BUGS:
        assert all(parsed(one) for one in bug.fixed), bug
        assert not bug.since or parsed(bug.since), bug
        assert bug.link.startswith("https://"), bug
    for row in (*KUBERNETES, *GATEWAY_API):
        assert parsed(row.oldest), row
        assert not row.newest or parsed(row.newest), row
