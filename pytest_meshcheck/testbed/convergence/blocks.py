"""The blocks of ``mesh.policy``: policies are in effect inside them, also while a violation is recorded."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pytest_meshcheck.checks.verdict import Violation
from pytest_meshcheck.model.errors import Inconclusive, Unsupported
from pytest_meshcheck.model.policy import Policy, ServerPolicy
from pytest_meshcheck.testbed.convergence.conditions import Condition
from pytest_meshcheck.testbed.convergence.lifecycle import PolicyLifecycle
from pytest_meshcheck.testbed.evidence import Evidence
from pytest_meshcheck.testbed.lock import MeshLock


@dataclass(frozen=True)
class PolicyBlocks:
    """Makes the blocks of one session.

    Attributes:
        policies: Applies and deletes.
        evidence: Captures the state under a policy that a check found violated.
        lock: Held exclusively while a policy reaches the whole mesh.
        may_disrupt: Whether a policy may reach workloads of other people.
    """

    policies: PolicyLifecycle
    evidence: Evidence
    lock: MeshLock
    may_disrupt: bool

    @asynccontextmanager
    async def block(self, policies: Sequence[Policy]) -> AsyncIterator[None]:
        """Policies that are in effect while the block runs, and no longer after it.

        Raises:
            Unsupported: The mesh cannot express one of them, or it would affect workloads of other people.
            Inconclusive: A data plane rejects them, or a deleted policy is still in effect.
        """
        async with self._exclusive_if_wide(policies):
            before = await self.policies.apply(policies)
            try:
                async with self.evidence.captured():
                    yield
            except Violation as violation:
                await self._delete_after(violation, policies, before)
                raise
            except BaseException:
                await self.policies.delete(policies, before)
                raise
            await self.policies.delete(policies, before)

    @asynccontextmanager
    async def _exclusive_if_wide(self, policies: Sequence[Policy]) -> AsyncIterator[None]:
        """Hold the mesh exclusively for a mesh-wide policy; refuse it if it would affect other workloads."""
        if not any(isinstance(policy, ServerPolicy) and policy.is_wide for policy in policies):
            yield
            return
        if not self.may_disrupt:
            raise Unsupported(
                f"a policy for all of {self.policies.adapter.name}, which was already installed, would affect other "
                "workloads: allow it with --mesh-allow-disruption"
            )
        async with self.lock.exclusive():
            try:
                yield
            except (Inconclusive, Unsupported):
                await self.policies.flush()  # other processes must not meet it, however the check ended
                raise
            await self.policies.flush()

    async def _delete_after(
        self, violation: Violation, policies: Sequence[Policy], before: Sequence[Condition]
    ) -> None:
        """Delete the policies; a failure to do so becomes a note on the violation."""
        try:
            await self.policies.delete(policies, before)
            await self.policies.flush()
        except Inconclusive as trouble:
            violation.add_note(f"and the policy could not be undone: {trouble}")
