"""What control planes say about files of an authority that they cannot use."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from pytest_meshcheck.meshes.istio.mesh import COMPLAINT
from pytest_meshcheck.meshes.kubernetes.authority_input import new_complaint, recorded

pytestmark = pytest.mark.asyncio

SAID = "2026-11-27T10:00:00Z\terror\tFailed to update new Plug-in CA certs: x509: malformed certificate"
OTHERS = (
    "2026-11-27T10:00:00Z\tinfo\tUpdate Istiod cacerts",
    "2026-11-27T10:00:00Z\terror\tklog\tfailed to list pods",
)


def series(*lists: list[str]) -> Callable[[], Any]:
    """Complaints as they are found one time after the other; the last list stays."""
    remaining = list(lists)

    async def complaints() -> list[str]:
        return remaining.pop(0) if len(remaining) > 1 else remaining[0]

    return complaints


async def test_the_first_new_complaint_counts() -> None:
    assert await new_complaint(series(["old"], ["old", "new"]), ["old"], 10.0) == "new"


async def test_no_new_complaint_in_time_is_silence() -> None:
    assert await new_complaint(series(["old"]), ["old"], 0.0) == ""


async def test_a_key_in_a_complaint_is_not_passed_on() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----"
    assert "secret" not in await new_complaint(series([f"cannot use {key}"]), [], 10.0)


async def test_istiod_complains_by_errors_about_certificates() -> None:
    assert re.search(COMPLAINT, SAID)
    assert not any(re.search(COMPLAINT, line) for line in OTHERS)


class Events:
    """An API server that has these events."""

    def __init__(self, *events: dict[str, Any]) -> None:
        self._events = list(events)

    async def items(self, path: str) -> tuple[list[dict[str, Any]], str]:
        assert path == "/api/v1/namespaces/linkerd/events"
        return self._events, "1"


async def test_a_repeated_event_is_another_complaint() -> None:
    skipped = {"reason": "IssuerUpdateSkipped", "message": "bad key", "count": 1}
    once = await recorded(Events(skipped, {"reason": "Started"}), "linkerd", ["IssuerUpdateSkipped"])  # type: ignore[arg-type]
    twice = await recorded(Events(skipped | {"count": 2}), "linkerd", ["IssuerUpdateSkipped"])  # type: ignore[arg-type]
    assert once == ["IssuerUpdateSkipped: bad key (1)"]
    assert twice != once
