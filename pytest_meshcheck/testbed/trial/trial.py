"""A user's configuration on trial: the value of the fixture ``mesh_trial``."""

from collections.abc import Sequence

from pytest_meshcheck.checks.access import Access
from pytest_meshcheck.model.observation import Attempt, Exchange
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.testbed.trial.access import access, answers_itself, settle
from pytest_meshcheck.testbed.trial.executions import PATIENCE, Execution, Sent, calls_of, executions
from pytest_meshcheck.testbed.trial.stand_ins import StandIns


class Trial(StandIns):
    """The stand-ins of a plan, and what is observed of them."""

    async def begin(self) -> None:
        """Make everything, and wait until the configuration acts; raises what the making raises."""
        await super().begin()
        await settle(self)

    async def access(self, destination: str) -> tuple[Access, ...]:
        """Who reaches a port, e.g. ``shop/orders:8080``: each caller by name and by address.

        Two rounds of requests in a row have to agree; what still varies after 30 s is recorded as such.

        Raises:
            Inconclusive: A probe is lost.
        """
        return await access(self, self.destination(destination))

    async def executions(
        self, destination: str, method: str, answer: m.Answer, *, path: str = "/", patience: float = PATIENCE
    ) -> Sequence[Execution]:
        """A request of each caller of the mesh that is let in, and how often it was executed.

        Every stand-in behind the port answers it like this each time, after it was carried out. Callers wait for
        ``patience`` in seconds, at a scale of 1.

        Raises:
            Unsupported: The port is not declared as HTTP.
            Inconclusive: No caller of the mesh is let in, or a probe is lost.
        """
        return await executions(self, self.destination(destination), Sent(method, path, patience), answer)

    async def calls_of(self, caller: str) -> Sequence[Attempt]:
        """One attempt of a stand-in, e.g. ``shop/web``, at each port of HTTP and gRPC that lets it in.

        Raises:
            Inconclusive: None does, or a probe is lost.
        """
        return await calls_of(self, caller)

    async def answers_itself(self, destination: str) -> list[tuple[str, Exchange]]:
        """By name, what each stand-in behind a port answers to itself, where no mesh is in between."""
        return await answers_itself(self, self.destination(destination))
