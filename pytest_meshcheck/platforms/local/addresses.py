"""The loopback addresses and ports of a run: a /16 of 127.0.0.0/8, reserved by a guard socket.

Linux routes all of 127.0.0.0/8 to the loopback interface, so no address has to be configured and no right is needed.
"""

import errno
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from pytest_meshcheck.model.workload_spec import Address, WorkloadSpec

NETWORKS = range(2, 251)
"""Values of the second octet; 127.0 and 127.1 are left to others."""

PORT_BASES = (18080, 19080, 20080, 21080, 22080, 23080, 24080, 25080)
"""First port of a run, best first; below 32768, where Linux begins to hand out ephemeral ports."""

PORT_SPAN = 32
"""How many ports from a base on are tried, and how many a workload may declare."""

GUARD_PORT = 18079
FIRST_OUTBOUND = 10
LINES = 1000
"""Above every number of a workload."""

MOST_WORKLOADS = 240
"""Workloads of one run at a time: the third octet of outbound addresses begins at ten."""


@dataclass(frozen=True)
class AddressPlan:
    """The addresses of one run. Workloads are numbered from 1.

    Attributes:
        network: The second octet.
        base: The first port; a workload's declared port ``i`` is ``base + i`` on each of its addresses.
        guard: Held open while the run lasts, so that no other run takes the network.
    """

    network: int
    base: int
    guard: socket.socket

    @classmethod
    def reserve(cls) -> "AddressPlan":
        """Take a free network and a free range of ports in it.

        Raises:
            OSError: Not on Linux, every network is taken, or every range of ports is in use.
        """
        if sys.platform != "linux":
            raise OSError(f"local processes need Linux, where all of 127.0.0.0/8 is loopback; this is {sys.platform}")
        network, guard = _reserve_network()
        try:
            return cls(network, _free_base(network), guard)
        except OSError:
            guard.close()
            raise

    def of_data_plane(self, number: int) -> str:
        """The address at which others reach workload ``number``: its sidecar's, or its own if it has none."""
        return f"127.{self.network}.0.{number}"

    def of_application(self, number: int) -> str:
        """Where workload ``number`` listens behind its sidecar."""
        return f"127.{self.network}.1.{number}"

    def of_recorder(self, number: int) -> str:
        """Where connections to workload ``number`` are recorded."""
        return f"127.{self.network}.2.{number}"

    def outbound(self, client: int, server: int) -> str:
        """What workload ``client`` dials to reach workload ``server`` through its own sidecar."""
        return f"127.{self.network}.{FIRST_OUTBOUND + client}.{server}"

    def port(self, spec: WorkloadSpec, name: str) -> int:
        """The number of a declared port."""
        return self.base + spec.position(name)

    def close(self) -> None:
        """Give the network back."""
        self.guard.close()


@dataclass(frozen=True)
class Member:
    """A workload with the number that its addresses come from."""

    spec: WorkloadSpec
    number: int
    sidecar: bool
    plan: AddressPlan

    def __str__(self) -> str:
        return str(self.spec)

    @property
    def line(self) -> int:
        """A number that no other workload of this machine has that runs now."""
        return self.plan.network * LINES + self.number

    def data_plane(self, port: str) -> Address:
        """Where others reach it."""
        return self.plan.of_data_plane(self.number), self.plan.port(self.spec, port)

    def application(self, port: str) -> Address:
        """Where its probe listens."""
        if not self.sidecar:
            return self.data_plane(port)
        return self.plan.of_application(self.number), self.plan.port(self.spec, port)

    def recorder(self, port: str) -> Address:
        """Where connections to it are recorded."""
        return self.plan.of_recorder(self.number), self.plan.port(self.spec, port)

    def outbound(self, server: "Member", port: str) -> Address:
        """The address that it dials to reach a server through its own sidecar."""
        return self.plan.outbound(self.number, server.number), self.plan.port(server.spec, port)


def endpoints_by_service(members: Iterable[Member]) -> dict[tuple[str, str], list[Member]]:
    """The workloads behind each service, by its namespace and name; callers dial it by the addresses of the first."""
    found: dict[tuple[str, str], list[Member]] = {}
    for member in members:
        found.setdefault(member.spec.service, []).append(member)
    return {service: sorted(behind, key=lambda one: one.spec.replica) for service, behind in found.items()}


def next_number(last: int, taken: Iterable[int]) -> int:
    """The next free number after the last one given, so that a number is taken again as late as possible.

    Raises:
        OSError: All are taken.
    """
    used = set(taken)
    for step in range(1, MOST_WORKLOADS + 1):
        number = (last + step - 1) % MOST_WORKLOADS + 1
        if number not in used:
            return number
    raise OSError(f"{MOST_WORKLOADS} workloads are running, and no address is left; stop some")


def _reserve_network() -> tuple[int, socket.socket]:
    for network in NETWORKS:
        guard = socket.socket()
        try:
            guard.bind((f"127.{network}.255.254", GUARD_PORT))
        except OSError as taken:
            guard.close()
            if taken.errno != errno.EADDRINUSE:
                raise
        else:
            return network, guard
    raise OSError(
        f"every network from 127.{NETWORKS[0]}.0.0/16 to 127.{NETWORKS[-1]}.0.0/16 is held by a run "
        f"(port {GUARD_PORT} is bound on each): end some of the runs"
    )


def _free_base(network: int) -> int:
    for base in PORT_BASES:
        if all(_is_free(f"127.{network}.0.1", port) for port in range(base, base + PORT_SPAN)):
            return base
    tried = ", ".join(f"{base}-{base + PORT_SPAN - 1}" for base in PORT_BASES)
    raise OSError(
        f"no free range of ports on 127.{network}.0.1: something listens in each of {tried}; "
        "stop what listens on all addresses there (ss -ltnp shows it)"
    )


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address, port))
        except OSError as taken:
            if taken.errno != errno.EADDRINUSE:
                raise
            return False
    return True
