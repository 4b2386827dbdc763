"""The ways from callers to a port of a user's service: by the name of the service, and by the addresses of its pods."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pytest_meshcheck.manifests.services import Destination
from pytest_meshcheck.model.workload import PATIENCE as UNSCALED, Workload
from pytest_meshcheck.model.workload_spec import Address
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.testbed.trial.stand_ins import Caller, StandIns

PATIENCE = 3.0
"""Seconds of a request: packets that a network policy drops are never answered."""

AT_ONCE = 16
"""The number of requests under way."""

PLAIN_PORT = 80


@dataclass(frozen=True)
class Way:
    """One way from a caller to a port.

    Attributes:
        caller: Who calls.
        address: What it dials.
        authority: The host name that it gives.
        address_of: The stand-in whose pod that is; empty for the service.
    """

    caller: Caller
    address: Address
    authority: str
    address_of: str = ""


def way_by_name(trial: StandIns, destination: Destination, caller: Caller) -> Way:
    """The way by the name of the service; without an address of its own, to its first pod under that name.

    An external host is called at the address of its stand-in, on its own port.
    """
    service = f"{destination.service}.{trial.place_of(destination.namespace)}"
    host = destination.external_host or service
    authority = host if destination.port == PLAIN_PORT else f"{host}:{destination.port}"
    if address := trial.addresses[destination.namespace, destination.service]:
        return Way(caller, (address, destination.port), authority)
    _, number, first = trial.backends(destination)[0]
    return Way(caller, (trial.pod_address(first), number), authority)


def ways_to(trial: StandIns, destination: Destination) -> Iterator[Way]:
    """Every way of every caller to a port; of a stand-in the first pod.

    An external host is called by its name alone, and by the mesh alone: policies are about what leaves the mesh.
    """
    for caller in trial.callers():
        if destination.external_host:
            if caller.enrolled:
                yield way_by_name(trial, destination, caller)
            continue
        yield way_by_name(trial, destination, caller)
        for name, port, workload in trial.backends(destination):
            if workload.spec.replica == 1:
                pod = trial.pod_address(workload)
                yield Way(caller, (pod, port), f"{pod}:{port}", name)


def request_on(destination: Destination, backend: tuple[str, int, Workload], way: Way, **fields: Any) -> m.Request:
    """A request on a way to a port, of which ``backend`` is one of those behind it; keywords are those of a request."""
    _, number, workload = backend
    caller, spoken = way.caller.workload, destination.declared.spoken
    name = next(port.name for port in workload.spec.ports if port.number == number)
    patience = caller.patience * PATIENCE / UNSCALED
    given = {"protocol": spoken, "authority": way.authority, "patience": patience, **fields}
    return caller.request_to(workload.spec, way.address, name, **given)
