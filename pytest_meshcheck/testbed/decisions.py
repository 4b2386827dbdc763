"""Decisions of a mesh about calls, by the step of an upgrade and the versions of the data planes that met."""

import enum
from dataclasses import dataclass
from typing import NamedTuple

from pytest_meshcheck.model.observation import Attempt, Exchange


class DataPlaneVersion(enum.StrEnum):
    """The version of a data plane at a step of an upgrade."""

    OLD = "old"
    """The version before the upgrade."""
    NEW = "new"


class Pairing(NamedTuple):
    """The data planes at both ends of a call; ``client`` is None for a client outside the mesh."""

    client: DataPlaneVersion | None
    server: DataPlaneVersion

    def __str__(self) -> str:
        client = f"{self.client} client" if self.client else "client outside the mesh"
        return f"{client}, {self.server} server"


@dataclass(frozen=True)
class UnusualCall:
    """A call whose answer has no body, or follows a 1xx response.

    Attributes:
        description: The answer, such as ``204``.
        status: The status that the client has to get.
        exchange: The call, as its client saw it.
    """

    description: str
    status: int
    exchange: Exchange


@dataclass(frozen=True)
class Decision:
    """The fate of one call.

    Attributes:
        step: The latest step of the upgrade, such as ``control plane upgraded``.
        pairing: The data planes of client and server.
        port: The server's port.
        exchange: The call, as its client saw it.
        arrived: Its attempts at the server.
        caller: The client's identity; None outside the mesh.
        stated: The caller's identity as the mesh states it to the server; None if it states none.
        unusual: Further calls of the same client, whose answers have no body or follow a 1xx response.
    """

    step: str
    pairing: Pairing
    port: str
    exchange: Exchange
    arrived: tuple[Attempt, ...]
    caller: str | None
    stated: str | None
    unusual: tuple[UnusualCall, ...] = ()

    def __str__(self) -> str:
        return f"{self.port}, {self.step}, {self.pairing}"
