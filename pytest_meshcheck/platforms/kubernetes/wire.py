"""Capturing what goes over the network between two workloads, on the nodes that they run on."""

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_meshcheck.platforms.recording import Recording
from pytest_meshcheck.stage.observation import Sight


@dataclass(frozen=True)
class Captures:
    """The captures of one wire, a node each; what one of them saw was there."""

    client: str
    server: str
    captures: Sequence[Recording]

    async def look_for(self, needles: tuple[str, ...]) -> Sight:
        """Search what the nodes have seen so far. A connection across two nodes is seen on both, and counted once."""
        sights = [await capture.look_for(needles) for capture in self.captures]
        fullest = max(sights, key=lambda sight: sight.octets_to_server + sight.octets_to_client)
        return Sight(
            connections=max(sight.connections for sight in sights),
            octets_to_server=fullest.octets_to_server,
            octets_to_client=fullest.octets_to_client,
            found=tuple(needle for needle in needles if any(needle in sight.found for sight in sights)),
            excerpt=fullest.excerpt,
        )
