"""The observed behaviour of one port: the requests of its callers, and their attempts at the services."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from pytest_meshcheck.checks.access import Access
from pytest_meshcheck.model.observation import Attempt, Ending, Exchange, Protocol

STALL = "stall"
"""The failure of a service that never answers."""

GRPC = "call"
"""The method of gRPC in reports."""

OF_GRPC = {"503": "unavailable"}
"""The failures of gRPC that have other names."""


@dataclass(frozen=True)
class Arrival:
    """One attempt, and the stand-in that saw it."""

    stand_in: str
    attempt: Attempt


@dataclass(frozen=True, order=True)
class Shape:
    """A kind of request over HTTP.

    Attributes:
        method: Its method.
        path: Its path.
        headers: Its headers.
    """

    method: str = "GET"
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def posted(self) -> "Shape":
        """The same as a POST, where it is a GET."""
        return replace(self, method="POST") if self.method == "GET" else self

    def __str__(self) -> str:
        headers = " and ".join(f"{name}: {value}" for name, value in self.headers)
        return f"{self.method} {self.path}{f' with {headers}' if headers else ''}"


@dataclass(frozen=True)
class Call:
    """One request, and all that arrived of it, anywhere.

    Attributes:
        caller: Who sent it.
        method: Its method; ``call`` for gRPC.
        failure: How every service failed it, after it was carried out; empty if they served it.
        exchange: What the caller saw.
        form: How it was refused or failed, in words; empty if it was served.
        arrivals: What the stand-ins saw.
        shape: What was sent, in words; the same for all requests of a method that fail.
        in_time: How many attempts had arrived when the caller had its answer.
        unended: How many attempts the services still executed some seconds after the caller was cut.
    """

    caller: str
    method: str
    failure: str
    exchange: Exchange
    form: str
    arrivals: tuple[Arrival, ...]
    shape: str = ""
    in_time: int = 0
    unended: int = 0

    @property
    def arrived(self) -> bool:
        """Whether a stand-in saw it."""
        return bool(self.arrivals)

    @property
    def is_sample(self) -> bool:
        """Whether the services served it as well as they could."""
        return not self.failure

    @property
    def limit(self) -> float | None:
        """The seconds after which the mesh ended a request that stalled; None if the caller gave up first."""
        cut = self.failure == STALL and self.arrived and self.exchange.ending is not Ending.TIMED_OUT
        return self.exchange.seconds if cut else None


@dataclass(frozen=True)
class PortEffects:
    """The observations of one port of a service.

    Attributes:
        destination: The port, e.g. ``shop/orders:8080``.
        protocol: What it speaks.
        backends: The stand-ins behind it.
        access: Who reached it, by name and by address.
        calls: The requests of the callers that are part of the mesh, in the order in which each sent its own.
        identities: Who each caller is to the services, as the mesh states it; empty if it states nothing.
        idle: By caller, the shortest of several pauses in seconds after which its connection was closed; 0 after none.
        patience: Seconds that callers waited for services that stall.
        since: When the observation began, by ``probe.process.pulse.now``.
    """

    destination: str
    protocol: Protocol
    backends: frozenset[str]
    access: tuple[Access, ...]
    calls: tuple[Call, ...]
    identities: Mapping[str, str]
    idle: Mapping[str, float]
    patience: float
    since: float

    @property
    def samples(self) -> tuple[Call, ...]:
        """The requests that services answered well."""
        return tuple(one for one in self.calls if one.is_sample)

    @property
    def failures(self) -> tuple[Call, ...]:
        """The requests that services failed."""
        return tuple(one for one in self.calls if not one.is_sample)

    def failed_posts(self, failure: str) -> tuple[Call, ...]:
        """The POSTs, and the calls of gRPC, that services failed in this way; calls are unavailable in place of 503."""
        wanted = {("POST", failure), (GRPC, OF_GRPC.get(failure, failure))}
        return tuple(one for one in self.failures if (one.method, one.failure) in wanted)

    def executions(self, call: Call) -> int:
        """How often a request was executed: behind this port, or where its routes lead otherwise."""
        behind = [one for one in call.arrivals if one.stand_in in self.backends]
        return len(behind or call.arrivals)


def by_caller(calls: Iterable[Call]) -> dict[str, list[Call]]:
    """The requests of each caller."""
    found: dict[str, list[Call]] = {}
    for call in calls:
        found.setdefault(call.caller, []).append(call)
    return found


def of_callers(names: Iterable[str]) -> str:
    """Callers in words, e.g. ``shop/web and 2 more callers``."""
    first, *others = dict.fromkeys(names)
    return f"{first} and {len(others)} more {'caller' if len(others) == 1 else 'callers'}" if others else first
