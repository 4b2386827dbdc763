"""Who is to reach a port of a service, and how that compares with who does."""

from collections.abc import Iterable
from dataclasses import dataclass

from pytest_meshcheck.checks.access import Access, Outcome


@dataclass(frozen=True)
class ExpectedAccess:
    """What the owner of a service says about one of its ports.

    Attributes:
        destination: The port, e.g. ``shop/orders:8080``.
        callers: Who is to be served, while everybody else is not; None where nothing is said about that.
        refuses_plaintext: Whether nobody outside of the mesh may reach it, listed or not.
    """

    destination: str
    callers: frozenset[str] | None = None
    refuses_plaintext: bool = False

    def __str__(self) -> str:
        return self.destination

    @property
    def says_something(self) -> bool:
        """Whether there is access that would not be as expected."""
        return self.callers is not None or self.refuses_plaintext

    def compared(self, seen: Iterable[Access]) -> "ComparedAccess":
        """What of the access to this port is not as expected; what stays within a pod is no access."""
        seen = tuple(one for one in seen if not one.within_pod)
        return ComparedAccess(
            tuple(one for one in seen if one.reached and self._forbids(one)),
            tuple(one for one in seen if not one.address_of and self._lists(one.caller) and not _is_served(one)),
        )

    def _lists(self, caller: str) -> bool:
        return self.callers is not None and caller in self.callers

    def _forbids(self, one: Access) -> bool:
        unlisted = self.callers is not None and one.caller not in self.callers
        return unlisted or (self.refuses_plaintext and not one.enrolled)


@dataclass(frozen=True)
class ComparedAccess:
    """What is not as expected.

    Attributes:
        leaks: Who got in and must not, by name or by the address of a pod.
        missing: Who must be served by name, and is not.
    """

    leaks: tuple[Access, ...]
    missing: tuple[Access, ...]


def _is_served(one: Access) -> bool:
    return one.outcome is Outcome.SERVED and one.arrived
