"""Workloads that an outsider calls while they start."""

import itertools
from dataclasses import replace

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    MeshUnderTest,
    Mode,
    MutualTls,
    Namespace,
    Workload,
    check,
    control,
    expect,
    slow,
)

from .starts import LATE, called_from_its_start

STARTS = (2, pytest.param(30, marks=slow))
PATIENCE = 10.0
"""Seconds until one of them has reached a permissive workload that serves."""


def strict_policies(mesh: MeshUnderTest, namespace: str) -> tuple[MutualTls, MutualTls]:
    """Strict mutual TLS for a namespace, and for the narrowest scope around the workload that will start there."""
    late = replace(LATE, namespace=namespace)
    if mesh.claims(Capability.PORT_LEVEL_MTLS):
        return MutualTls(Namespace(namespace), Mode.STRICT), MutualTls(late, Mode.PERMISSIVE, {"http": Mode.STRICT})
    return MutualTls(Namespace(namespace), Mode.STRICT), MutualTls(late, Mode.STRICT)


@pytest.mark.parametrize("starts", STARTS)
@check(MUST, "mtls.start", proves={Capability.STRICT_MTLS}, uses={Capability.PERMISSIVE_MTLS})
async def test_no_plaintext_window_at_start(
    mesh: MeshUnderTest, server: Workload, outsider: Workload, client: Workload, starts: int
) -> None:
    """A strict policy that is older than a workload holds from the first connection that the workload accepts.

    An outsider calls the workload in plaintext from the moment when it has an address until an enrolled client
    is served: not one of these requests is answered, or reaches the application. Under permissive mutual TLS some are.
    The policy is about the namespace of the workload, and in turn about its port alone, or about the workload itself
    where the mesh has no policies for ports.
    """
    async with mesh.policy(MutualTls(Namespace(server.namespace), Mode.PERMISSIVE)):
        outcome = await called_from_its_start(mesh, outsider, client, within=PATIENCE * mesh.scale)
        control(outcome.reached, "requests that reach a permissive workload").at_least(1)
    for start, policy in zip(range(starts), itertools.cycle(strict_policies(mesh, server.namespace)), strict=False):
        async with mesh.policy(policy):
            outcome = await called_from_its_start(mesh, outsider, client)
        expect(outcome, f"start {start + 1}").refused()
