"""What is said of several legs between two workloads."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from pytest_meshcheck.model.observation import CaptureResult
from pytest_meshcheck.platforms.kubernetes.capture.wire import Captures, WirePath

pytestmark = pytest.mark.asyncio


@dataclass(frozen=True)
class Captured:
    """A capture that saw this."""

    captured: CaptureResult

    async def look_for(self, needles: tuple[str, ...]) -> CaptureResult:
        return self.captured


def captured(length: int, *found: str) -> CaptureResult:
    seen = {"connections": int(length > 0), "bytes_to_server": length, "bytes_to_client": length}
    return CaptureResult(**seen, found=found, excerpt=b"")


def path(*legs: Sequence[CaptureResult]) -> WirePath:
    return WirePath("client", "server", [Captures([Captured(one) for one in leg]) for leg in legs])  # type: ignore[misc]


async def test_one_node_of_a_leg_is_enough() -> None:
    seen = await path([captured(0), captured(9, "text")]).look_for(("text", "other"))
    assert (seen.bytes_to_server, seen.found) == (9, ("text",))


async def test_a_leg_that_was_not_seen_shows_nothing() -> None:
    seen = await path([captured(9)], [captured(0), captured(0)]).look_for(("text",))
    assert (seen.bytes_to_server, seen.bytes_to_client, seen.connections) == (0, 0, 0)


async def test_what_is_readable_on_any_leg_is_found() -> None:
    seen = await path([captured(9)], [captured(7, "text")]).look_for(("other", "text"))
    assert (seen.bytes_to_client, seen.found) == (7, ("text",))
