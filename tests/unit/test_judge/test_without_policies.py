"""What outsiders meet without policies, which has to be met again after each policy."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.probe.protocol.messages import Property
from pytest_meshcheck.suite import WorkloadSpec
from pytest_meshcheck.testbed.convergence import lifecycle as tested
from pytest_meshcheck.testbed.convergence.conditions import Condition
from pytest_meshcheck.testbed.convergence.lifecycle import PolicyLifecycle

OUTSIDER, SERVER = WorkloadSpec("grey", "outsider"), WorkloadSpec("blue", "server")


@pytest.mark.parametrize(
    ("met", "kept", "waits"),
    [
        ([True], True, 0),
        ([False, True], True, 1),
        ([False, False], False, 1),
    ],
    ids=["served", "refused-for-a-moment", "refused-for-good"],
)
def test_a_refusal_counts_only_if_it_lasts(
    monkeypatch: pytest.MonkeyPatch, met: list[bool], kept: bool, waits: int
) -> None:
    mesh, waited = EnvoyMesh(), list[Condition]()
    stage: Any = SimpleNamespace(platform=SimpleNamespace(journal=Journal()), running=[])
    policies, seen = PolicyLifecycle(mesh, stage, 1.0), iter(met)
    condition = Condition(OUTSIDER, SERVER, "http", Property.SERVED, None)  # type: ignore[arg-type]

    async def present(conditions: Sequence[Condition], _scale: float) -> list[Condition]:
        return [replace(one, expected=next(seen)) for one in conditions]

    async def unmet(conditions: Sequence[Condition], *_: Any) -> list[Condition]:
        waited.extend(conditions)
        return []

    monkeypatch.setattr(tested, "present", present)
    monkeypatch.setattr(tested, "unmet", unmet)
    (before,) = asyncio.run(policies._admission_before([condition]))
    assert (before.expected, [one.expected for one in waited]) == (kept, [True] * waits)
