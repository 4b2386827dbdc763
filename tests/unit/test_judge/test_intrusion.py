"""A load that must not get in is judged however its block ends."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pytest_meshcheck.checks.intrusion import kept_out
from pytest_meshcheck.checks.verdict import Violation
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.observation import LoadOutcome, Spread

pytestmark = pytest.mark.asyncio


class Ended:
    """A load whose outcome is known at the end of its block."""

    outcome: LoadOutcome | None = None

    @asynccontextmanager
    async def block(self, reached: int) -> AsyncIterator[Any]:
        """The block, after which so many requests have reached an application."""
        none = Spread.of([])
        try:
            yield self
        finally:
            self.outcome = LoadOutcome(
                1, (("r", "reset"),), (), (), lateness=none, latency=none, served_in=none, reached=reached
            )


async def test_a_leak_is_a_violation() -> None:
    with pytest.raises(Violation) as found:
        async with kept_out(Ended().block(reached=1), "plaintext"):
            pass
    assert found.value.leak


async def test_a_leak_outranks_what_ended_the_block() -> None:
    with pytest.raises(Violation) as found:
        async with kept_out(Ended().block(reached=1), "plaintext"):
            raise Inconclusive("the control plane is not back")
    assert str(found.value.__context__) == "the control plane is not back"


async def test_without_a_leak_the_block_ends_as_it_does() -> None:
    async with kept_out(Ended().block(reached=0), "plaintext") as load:
        assert load.outcome is None
    with pytest.raises(Inconclusive):
        async with kept_out(Ended().block(reached=0), "plaintext"):
            raise Inconclusive("the control plane is not back")


async def test_a_load_that_does_not_begin_is_not_judged() -> None:
    @asynccontextmanager
    async def lost() -> AsyncIterator[Any]:
        raise Inconclusive("the probe is gone")
        yield

    with pytest.raises(Inconclusive, match="the probe is gone"):
        async with kept_out(lost(), "plaintext"):
            pytest.fail("it has begun")
