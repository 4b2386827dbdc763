"""Hosts outside of the mesh that a ServiceEntry of Istio's names, in whose place a stand-in answers; pure.

https://istio.io/latest/docs/reference/config/networking/service-entry/
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_meshcheck.manifests.objects import KubernetesObject
from pytest_meshcheck.manifests.protocols import SPOKEN, Declared
from pytest_meshcheck.manifests.services import Destination
from pytest_meshcheck.manifests.stand_ins import DEFAULT_ACCOUNT, StandIn, StandInPort
from pytest_meshcheck.platforms.base import Manifest

NETWORKING = "networking.istio.io"
PLAYED = ("HTTP", "HTTP2", "GRPC")
"""The protocols of ports that are called: a route by host name leads there, whatever address a caller dials."""

ORIGINATING = ("SIMPLE", "MUTUAL")
"""The modes in which data planes of callers speak TLS to a host."""


@dataclass(frozen=True)
class ExternalHosts:
    """The external hosts of some manifests.

    Attributes:
        stand_ins: One for each host.
        destinations: Their ports.
        notes: What no stand-in plays, with the reason.
    """

    stand_ins: tuple[StandIn, ...] = ()
    destinations: tuple[Destination, ...] = ()
    notes: tuple[str, ...] = ()


def external_hosts(resources: Sequence[KubernetesObject]) -> ExternalHosts:
    """The hosts of the ServiceEntries among these resources."""
    ports: dict[str, dict[int, StandInPort]] = {}
    entries: dict[str, KubernetesObject] = {}
    notes: list[str] = []
    for one in filter(is_entry, resources):
        if reason := _not_played(one, resources):
            notes.append(f"{one} ({one.place}) has no stand-in: {reason}")
            continue
        host = host_of(one)
        entries.setdefault(host, one)
        ports.setdefault(host, {}).update((port.number, port) for port in _ports(one))
        notes += [f"{one} ({one.place}): {said}" for said in _left_out(one)]
    stand_ins = {host: _stand_in(entries[host], tuple(found.values())) for host, found in ports.items()}
    called = [
        Destination("", host, port.number, port.declared, ((one, port.number),), external_host=host)
        for host, one in stand_ins.items()
        for port in one.ports
    ]
    return ExternalHosts(tuple(stand_ins.values()), tuple(called), tuple(notes))


def is_entry(one: KubernetesObject) -> bool:
    """Whether a resource names hosts outside of the mesh."""
    return (one.group, one.kind) == (NETWORKING, "ServiceEntry")


def host_of(entry: KubernetesObject) -> str:
    """The host that callers name; the first one of several."""
    return str((entry.spec.get("hosts") or [""])[0]).lower()


def led_to(manifest: Manifest, address: str) -> Manifest:
    """A ServiceEntry whose only endpoint is this address; callers of one without resolution dial that themselves."""
    spec: Mapping[str, Any] = manifest["spec"]
    if spec.get("resolution", "NONE") == "NONE":
        return manifest
    return {**manifest, "spec": {**spec, "resolution": "STATIC", "endpoints": [{"address": address}]}}


def _not_played(entry: KubernetesObject, resources: Sequence[KubernetesObject]) -> str:
    host = host_of(entry)
    if "*" in host or "." not in host:
        return f"{host or 'it'} names no single host"
    if entry.spec.get("workloadSelector") or entry.spec.get("location") == "MESH_INTERNAL":
        return "it is about workloads of the mesh"
    if not _ports(entry):
        return f"none of its ports speaks {', '.join(PLAYED)}"
    if origin := next((one for one in resources if _originates_tls(one, host)), None):
        return f"{origin} ({origin.place}) has TLS spoken to it, for which a stand-in has no certificate"
    return ""


def _originates_tls(one: KubernetesObject, host: str) -> bool:
    if (one.group, one.kind) != (NETWORKING, "DestinationRule") or str(one.spec.get("host")).lower() != host:
        return False
    return any(mode in ORIGINATING for mode in _tls_modes(one.spec))


def _tls_modes(node: object) -> Iterator[object]:
    if isinstance(node, Mapping):
        if isinstance(node.get("tls"), Mapping):
            yield node["tls"].get("mode")
        for value in node.values():
            yield from _tls_modes(value)
    elif isinstance(node, list):
        for each in node:
            yield from _tls_modes(each)


def _ports(entry: KubernetesObject) -> list[StandInPort]:
    return [
        StandInPort(int(port["number"]), "", Declared(SPOKEN[spoken.lower()], f"protocol {spoken}"))
        for port in entry.spec.get("ports") or ()
        if (spoken := str(port.get("protocol", "")).upper()) in PLAYED
    ]


def _left_out(entry: KubernetesObject) -> Iterator[str]:
    for port in entry.spec.get("ports") or ():
        if str(port.get("protocol", "")).upper() not in PLAYED:
            yield f"port {port.get('number')} is not called, as it speaks {port.get('protocol')}"
    if len(others := entry.spec.get("hosts") or ()) > 1:
        yield f"{', '.join(map(str, others[1:]))} are not called, but {host_of(entry)} alone"


def _stand_in(entry: KubernetesObject, ports: tuple[StandInPort, ...]) -> StandIn:
    return StandIn("", host_of(entry), entry.kind, {}, {}, DEFAULT_ACCOUNT, 1, ports, entry.place)
