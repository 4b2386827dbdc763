"""What a check finds in an outage outranks what fails after it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pytest_meshcheck.checks.verdict import Violation
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.testbed.disruptions import Disruptions

pytestmark = pytest.mark.asyncio


class NeverFollows:
    """The mesh, the evidence and the reconnection of a run whose data planes never follow an outage."""

    @asynccontextmanager
    async def control_plane_outage(self) -> AsyncIterator[None]:
        yield

    @asynccontextmanager
    async def captured(self) -> AsyncIterator[None]:
        yield

    async def flush(self) -> None:
        pass

    async def after_own_outage(self) -> None:
        raise Inconclusive("blue/client does not follow")


def disruptions() -> Disruptions:
    part: Any = NeverFollows()
    return Disruptions(part, Journal(), part, part.flush, part)


async def test_a_violation_in_an_outage_outranks_data_planes_that_do_not_follow() -> None:
    with pytest.raises(Violation) as found:
        async with disruptions().control_plane_outage():
            raise Violation("a refusal", "status 200")
    assert found.value.__notes__ == ["and data planes do not follow: blue/client does not follow"]


async def test_data_planes_that_do_not_follow_make_a_check_inconclusive() -> None:
    with pytest.raises(Inconclusive, match="blue/client does not follow"):
        async with disruptions().control_plane_outage():
            pass
