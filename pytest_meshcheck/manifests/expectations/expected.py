"""What the owner of manifests expects of the mesh, as ``meshcheck.toml`` says it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_meshcheck.checks.own.expected_access import ExpectedAccess


@dataclass(frozen=True)
class Once:
    """A request that is executed at most once, also where it fails after that.

    Attributes:
        destination: The port that it is sent to.
        method: Its method.
        path: Its path.
    """

    destination: str
    method: str = "POST"
    path: str = "/"

    @property
    def of_every_port(self) -> bool:
        """Whether it is one that a run sends to every port anyway."""
        return (self.method, self.path) == ("POST", "/")

    def __str__(self) -> str:
        return f"{self.destination} {self.method} {self.path}"


@dataclass(frozen=True)
class Limit:
    """A limit on the time that callers wait for an answer that does not come.

    Attributes:
        destination: The port that they call.
        seconds: The limit.
        path: The path of their request.
    """

    destination: str
    seconds: float
    path: str = "/"

    def __str__(self) -> str:
        return self.destination if self.path == "/" else f"{self.destination} {self.path}"


@dataclass(frozen=True)
class Identity:
    """The identity that the mesh tells services about a caller.

    Attributes:
        caller: The stand-in that calls.
        name: Its identity as the mesh writes it.
    """

    caller: str
    name: str

    def __str__(self) -> str:
        return self.caller


@dataclass(frozen=True)
class Expected:
    """All expectations.

    Attributes:
        access: Who is to reach a port, by the port.
        once: Requests that are executed at most once.
        limits: Limits on time.
        identities: Who callers are to services.
        calls: The ports that each workload calls.
        file: Where they are written; empty if nothing is expected.
    """

    access: Mapping[str, ExpectedAccess] = field(default_factory=dict)
    once: tuple[Once, ...] = ()
    limits: tuple[Limit, ...] = ()
    identities: tuple[Identity, ...] = ()
    calls: Mapping[str, frozenset[str]] = field(default_factory=dict)
    file: str = ""

    def __str__(self) -> str:
        parts = {
            "access": self.access,
            "at most once": self.once,
            "limits": self.limits,
            "identities": self.identities,
        }
        counted = [f"{len(found)} {words}" for words, found in parts.items() if found]
        counted += [f"calls of {len(self.calls)} workloads"] if self.calls else []
        return f"expected ({self.file}): {', '.join(counted) or 'nothing'}"
