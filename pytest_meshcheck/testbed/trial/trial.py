"""A user's configuration on trial: the value of the fixture ``mesh_trial``."""

from pytest_meshcheck.checks.access import Access
from pytest_meshcheck.model.observation import Exchange
from pytest_meshcheck.testbed.trial.access import access, answers_itself
from pytest_meshcheck.testbed.trial.stand_ins import StandIns


class Trial(StandIns):
    """The stand-ins of a plan, and what is observed of them."""

    async def access(self, destination: str) -> tuple[Access, ...]:
        """Who reaches a port, e.g. ``shop/orders:8080``: each caller by name and by address.

        Two rounds of requests in a row have to agree; what still varies after 30 s is recorded as such.

        Raises:
            Inconclusive: A probe is lost.
        """
        return await access(self, self.destination(destination))

    async def answers_itself(self, destination: str) -> list[tuple[str, Exchange]]:
        """By name, what each stand-in behind a port answers to itself, where no mesh is in between."""
        return await answers_itself(self, self.destination(destination))
