"""What a check waits for before it calls, where only requests show which policies are in effect."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.suite import NetworkPolicy, WorkloadSpec
from pytest_meshcheck.testbed.convergence.lifecycle import PolicyLifecycle

SERVER, LISTED, UNLISTED = (WorkloadSpec("blue", name) for name in ("server", "client", "newcomer"))

EVERYONE = WorkloadSpec("blue", "everyone")


@pytest.mark.parametrize(
    ("caller", "port", "verified"),
    [
        (LISTED, "http", [LISTED]),
        (LISTED, "http-alt", []),
        (UNLISTED, "http", []),
        (EVERYONE, "http", [LISTED]),
    ],
)
def test_nobody_waits_for_answers_to_a_caller_that_a_network_policy_refuses(
    monkeypatch: pytest.MonkeyPatch, caller: WorkloadSpec, port: str, verified: list[WorkloadSpec]
) -> None:
    mesh = EnvoyMesh()
    mesh.documented = SimpleNamespace(needs_polling=True)  # type: ignore[assignment]
    stage: Any = SimpleNamespace(platform=SimpleNamespace(journal=Journal()), running=[LISTED, UNLISTED])
    lifecycle, seen = PolicyLifecycle(mesh, stage, 1.0), []
    lifecycle.applied.policies = [NetworkPolicy(SERVER, (LISTED,), ("http",))]

    async def verify(one: WorkloadSpec, *_: Any) -> None:
        seen.append(one)

    monkeypatch.setattr(lifecycle.cache, "verify", verify)
    before_call: Any = lifecycle.before_call
    asyncio.run(before_call(None if caller is EVERYONE else caller, SERVER, port))
    assert seen == verified
