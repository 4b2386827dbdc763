"""Assertions on observations: ``expect`` tests the mesh, ``control`` tests the check's own stimulus.

Both have the same methods. A failed assertion is a ``Violation`` under ``expect``, and ``Inconclusive`` under
``control``: a stimulus that does not work shows nothing about the mesh.

An assertion that depends on time says so with ``rests_on``, because a stalled process may explain its failure. A
request that got through although it must not (a leak), or arrived twice, has no such explanation, whatever the check
says; a leak is a violation even after a failed control (``leaks``).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from pytest_meshcheck.checks.claims import (
    AttemptsClaims,
    CaptureClaims,
    Claims,
    ExchangeClaims,
    Fail,
    LoadClaims,
    ValueClaims,
    fail_mesh,
    fail_stimulus,
)
from pytest_meshcheck.checks.own.access_claims import AccessClaims
from pytest_meshcheck.checks.own.expected_access import ComparedAccess
from pytest_meshcheck.checks.own.hazard import Hazard, HazardClaims
from pytest_meshcheck.checks.verdict import Time
from pytest_meshcheck.model.observation import Attempt, CaptureResult, Exchange, LoadOutcome

T = TypeVar("T")


@dataclass(frozen=True)
class Judge:
    """Selects the assertions that fit an observation.

    ``what`` names a value in messages. ``rests_on`` is for assertions that depend on time: see ``MeshUnderTest.time``.
    """

    fail: Fail

    @overload
    def __call__(self, seen: Exchange, what: str = "", *, rests_on: Time | None = None) -> ExchangeClaims: ...
    @overload
    def __call__(
        self, seen: tuple[Attempt, ...], what: str = "", *, rests_on: Time | None = None
    ) -> AttemptsClaims: ...
    @overload
    def __call__(self, seen: LoadOutcome, what: str = "", *, rests_on: Time | None = None) -> LoadClaims: ...
    @overload
    def __call__(self, seen: CaptureResult, what: str = "", *, rests_on: Time | None = None) -> CaptureClaims: ...
    @overload
    def __call__(self, seen: ComparedAccess, what: str = "", *, rests_on: Time | None = None) -> AccessClaims: ...
    @overload
    def __call__(self, seen: Hazard, what: str = "", *, rests_on: Time | None = None) -> HazardClaims: ...
    @overload
    def __call__(self, seen: Any, what: str = "", *, rests_on: Time | None = None) -> ValueClaims[Any]: ...
    def __call__(self, seen: Any, what: str = "", *, rests_on: Time | None = None) -> Claims[Any]:
        """The assertions for this observation."""
        for kind, claims in KINDS:
            if isinstance(seen, kind):
                return claims(seen, self.fail, what, rests_on)
        if isinstance(seen, tuple) and all(isinstance(entry, Attempt) for entry in seen):
            return AttemptsClaims(seen, self.fail, what, rests_on)
        return ValueClaims(seen, self.fail, what, rests_on)


KINDS: tuple[tuple[type, type[Claims[Any]]], ...] = (
    (Exchange, ExchangeClaims),
    (LoadOutcome, LoadClaims),
    (CaptureResult, CaptureClaims),
    (ComparedAccess, AccessClaims),
    (Hazard, HazardClaims),
)

expect = Judge(fail_mesh)
"""Tests the mesh; a failed assertion is a ``Violation``."""

control = Judge(fail_stimulus)
"""Proves that the stimulus works; a failed assertion is ``Inconclusive``."""


async def converge(
    observe: Callable[[], Awaitable[T]],
    marker: Callable[[T], bool],
    within: float,
    *,
    in_a_row: int = 1,
    every: float = 0.01,
) -> tuple[T, float]:
    """Observe every ``every`` seconds until ``marker`` held ``in_a_row`` times or ``within`` seconds are over.

    Returns the last observation, and the seconds until the marker began to hold: more than ``within`` if it never held
    for long enough. The check asserts on both; earlier observations do not count against the mesh. If the marker never
    holds, the last observation began after ``within`` seconds, even if this process was delayed.
    """
    begun = time.monotonic()
    run, since = 0, 0.0
    while True:
        late = time.monotonic() - begun > within
        seen = await observe()
        elapsed = time.monotonic() - begun
        if marker(seen):
            since = since if run else elapsed
            run += 1
        else:
            run = 0
        if run >= in_a_row or late:
            return seen, since if run >= in_a_row else elapsed
        await asyncio.sleep(every)
