"""Captures traffic between two workloads on each node that it passes."""

import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from pytest_meshcheck.model.observation import CaptureResult
from pytest_meshcheck.platforms.recording import Recording
from pytest_meshcheck.probe.capture.limits import EXCERPT
from pytest_meshcheck.probe.controller import Probe


@dataclass(frozen=True)
class End:
    """One end of a leg: a workload, or a proxy between two of them.

    Attributes:
        name: Its name in evidence.
        addresses: The address of its pod, then others that lead to it.
        node: The node that it runs on.
    """

    name: str
    addresses: tuple[str, ...]
    node: str


@dataclass(frozen=True)
class Captures:
    """The captures of one leg, one per node; bytes that any of them saw were there."""

    captures: Sequence[Recording]

    async def look_for(self, needles: tuple[str, ...]) -> CaptureResult:
        """Search the captures so far. A connection across two nodes is seen on both, and counted once."""
        results = [await capture.look_for(needles) for capture in self.captures]
        fullest = max(results, key=lambda captured: captured.bytes_to_server + captured.bytes_to_client)
        return CaptureResult(
            connections=max(captured.connections for captured in results),
            bytes_to_server=fullest.bytes_to_server,
            bytes_to_client=fullest.bytes_to_client,
            found=_found(needles, results),
            excerpt=fullest.excerpt,
        )


@dataclass(frozen=True)
class WirePath:
    """The captures of all legs between two workloads; bytes seen on any of them were there."""

    client: str
    server: str
    legs: Sequence[Captures]

    async def look_for(self, needles: tuple[str, ...]) -> CaptureResult:
        """Search every leg. The leg with the fewest bytes counts: a leg without bytes proves nothing."""
        results = [await leg.look_for(needles) for leg in self.legs]
        return CaptureResult(
            connections=min(captured.connections for captured in results),
            bytes_to_server=min(captured.bytes_to_server for captured in results),
            bytes_to_client=min(captured.bytes_to_client for captured in results),
            found=_found(needles, results),
            excerpt=b"".join(captured.excerpt for captured in results)[:EXCERPT],
        )


@asynccontextmanager
async def watched(ends: Sequence[End], port: str, watchers: Mapping[str, Probe]) -> AsyncIterator[WirePath]:
    """Capture the traffic from each end to the next; ``watchers`` are the privileged probes by node."""
    async with AsyncExitStack() as stack:
        legs = [await _leg(stack, one, other, port, watchers) for one, other in itertools.pairwise(ends)]
        yield WirePath(ends[0].name, ends[-1].name, legs)


async def _leg(stack: AsyncExitStack, one: End, other: End, port: str, watchers: Mapping[str, Probe]) -> Captures:
    captures = []
    for node in dict.fromkeys((one.node, other.node)):
        capture = Recording(one.name, other.name, port, watchers[node])
        near = tuple(end.addresses[0] for end in (one, other) if end.node == node)
        await capture.watch(one.addresses[0], other.addresses, near)
        stack.push_async_callback(capture.end)
        captures.append(capture)
    return Captures(captures)


def _found(needles: tuple[str, ...], results: Sequence[CaptureResult]) -> tuple[str, ...]:
    return tuple(needle for needle in needles if any(needle in captured.found for captured in results))
