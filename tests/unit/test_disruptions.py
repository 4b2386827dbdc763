"""What a check finds in an outage outranks what fails after it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from pytest_meshcheck.checks.verdict import Violation
from pytest_meshcheck.model.authority_files import AuthorityFiles
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.pki import Authority
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

    def begin_outage(self) -> None:
        """Nothing to count."""

    async def after_own_outage(self) -> None:
        raise Inconclusive("blue/client does not follow")


def disruptions(mesh: NeverFollows | None = None) -> Disruptions:
    part: Any = mesh or NeverFollows()
    return Disruptions(part, Journal(), part, part.flush, part)


async def test_a_violation_in_an_outage_outranks_data_planes_that_do_not_follow() -> None:
    with pytest.raises(Violation) as found:
        async with disruptions().control_plane_outage():
            raise Violation("a refusal", "status 200")
    assert found.value.__notes__ == ["and data planes do not follow: blue/client does not follow"]


class NeverReturns(NeverFollows):
    """A mesh whose control plane does not come back, and which takes no files of an authority."""

    authority = Authority("cluster.local")

    def __init__(self) -> None:
        self.given: list[AuthorityFiles] = []

    @asynccontextmanager
    async def control_plane_outage(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            raise Inconclusive("the control plane does not come back")

    async def give_authority(self, files: AuthorityFiles) -> str:
        self.given.append(files)
        if len(self.given) == 1:
            raise Inconclusive("the API server cannot be reached")
        return ""


async def test_a_violation_in_an_outage_outranks_a_control_plane_that_does_not_come_back() -> None:
    with pytest.raises(Violation) as found:
        async with disruptions(NeverReturns()).control_plane_outage():
            raise Violation("a refusal", "status 200")
    assert found.value.__notes__[0] == "and it could not be undone: the control plane does not come back"


async def test_files_that_could_not_be_given_are_taken_back() -> None:
    mesh = NeverReturns()
    sound = AuthorityFiles.of(mesh.authority)
    broken = replace(sound, key=b"")
    with pytest.raises(Inconclusive, match="cannot be reached"):
        async with disruptions(mesh).authority_files(broken):
            pass
    assert mesh.given == [broken, sound]


async def test_data_planes_that_do_not_follow_make_a_check_inconclusive() -> None:
    with pytest.raises(Inconclusive, match="blue/client does not follow"):
        async with disruptions().control_plane_outage():
            pass
