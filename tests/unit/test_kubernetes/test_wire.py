"""What is said of several legs between two workloads."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from pytest_meshcheck.model.observation import Sight
from pytest_meshcheck.platforms.kubernetes.capture.wire import Captures, Way

pytestmark = pytest.mark.asyncio


@dataclass(frozen=True)
class Seen:
    """A capture that saw this."""

    sight: Sight

    async def look_for(self, needles: tuple[str, ...]) -> Sight:
        return self.sight


def sight(length: int, *found: str) -> Sight:
    seen = {"connections": int(length > 0), "bytes_to_server": length, "bytes_to_client": length}
    return Sight(**seen, found=found, excerpt=b"")


def way(*legs: Sequence[Sight]) -> Way:
    return Way("client", "server", [Captures([Seen(one) for one in leg]) for leg in legs])  # type: ignore[misc]


async def test_one_node_of_a_leg_is_enough() -> None:
    seen = await way([sight(0), sight(9, "text")]).look_for(("text", "other"))
    assert (seen.bytes_to_server, seen.found) == (9, ("text",))


async def test_a_leg_that_was_not_seen_shows_nothing() -> None:
    seen = await way([sight(9)], [sight(0), sight(0)]).look_for(("text",))
    assert (seen.bytes_to_server, seen.bytes_to_client, seen.connections) == (0, 0, 0)


async def test_what_is_readable_on_any_leg_is_found() -> None:
    seen = await way([sight(9)], [sight(7, "text")]).look_for(("other", "text"))
    assert (seen.bytes_to_client, seen.found) == (7, ("text",))
