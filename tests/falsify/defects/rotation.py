"""Certificates that are renewed too late, too long, or at the cost of the traffic."""

import copy
from collections.abc import Callable
from typing import Any

from tests.falsify import parts
from tests.falsify.defect import Defect, Plant, Resources
from tests.falsify.defects.identity import CERTIFICATE_END, leaf_without_intermediate
from tests.falsify.defects.lifecycle import DRAINS, OUTAGE
from tests.falsify.defects.outage import SHORT
from tests.falsify.meshes.faulty import (
    BriefLeafOutlivesIssuer,
    ConnectionsKept,
    IssuerNotFollowed,
    LeafOutlivesIssuer,
    planted,
)
from tests.falsify.meshes.renewal import LateRenewal, LavishLifetimes, SerialNumbersRepeat

OTHER_IDENTITY = "other-identity"
SOURCE_PORTS = range(1024, 65536)
A_TENTH_OF_THE_LOAD = {"name": "x-meshcheck-id", "string_match": {"safe_regex": {"regex": "[0-9a-f]+-[0-9]*7"}}}
"""Requests of a load are numbered, others are not."""


class Certificates:
    """The certificates that were due to be published, by workload, the newest last."""

    def __init__(self) -> None:
        self._due: dict[str, list[dict[str, Any]]] = {}

    def until_now(self, workload: str, resources: Resources) -> list[dict[str, Any]]:
        """Those of a workload, with the one that is due now."""
        due = self._due.setdefault(workload, [])
        newest = copy.deepcopy(parts.secret(resources, "identity")["tls_certificate"])
        if newest not in due:
            due.append(newest)
        return due


def only_the_first(number: int) -> Plant:
    """Publish so many certificates of each workload, and no later ones."""
    certificates = Certificates()

    def plant(workload: str, resources: Resources) -> None:
        due = certificates.until_now(workload, resources)
        parts.secret(resources, "identity")["tls_certificate"] = due[:number][-1]

    return plant


def stale_for_some() -> Plant:
    """Show the certificate before the newest to every second source port; Linux gives clients every second one."""
    certificates = Certificates()

    def plant(workload: str, resources: Resources) -> None:
        before = certificates.until_now(workload, resources)[-2:][0]
        resources["secrets"].append({"name": OTHER_IDENTITY, "tls_certificate": before})
        for listener in parts.inbound(resources):
            chain = copy.deepcopy(parts.secure_chain(listener))
            chain["name"] = OTHER_IDENTITY
            chain["filter_chain_match"]["source_ports"] = [port for port in SOURCE_PORTS if port // 2 % 2]
            shows_other_identity(chain["transport_socket"]["typed_config"])
            listener["filter_chains"].append(chain)

    return plant


def clients_keep_the_first() -> Plant:
    """Show servers the first certificate of each workload, and clients the newest."""
    certificates = Certificates()

    def plant(workload: str, resources: Resources) -> None:
        first = certificates.until_now(workload, resources)[0]
        resources["secrets"].append({"name": OTHER_IDENTITY, "tls_certificate": first})
        for context in parts.client_contexts(resources):
            shows_other_identity(context)

    return plant


def first_leaf_below(above: Callable[[str, str], str]) -> Plant:
    """Keep the first key and leaf of each workload, below these: (issuers of the first, of the newest) -> issuers."""
    certificates = Certificates()

    def plant(workload: str, resources: Resources) -> None:
        due = certificates.until_now(workload, resources)
        (leaf, *_, first), (*_, newest) = (
            due[n]["certificate_chain"]["inline_string"].partition(CERTIFICATE_END) for n in (0, -1)
        )
        parts.secret(resources, "identity")["tls_certificate"] = copy.deepcopy(due[0])
        parts.chain_of(resources)["inline_string"] = leaf + CERTIFICATE_END + above(first, newest)

    return plant


def shows_other_identity(context: dict[str, Any]) -> None:
    """Take the certificate of a TLS context from the other secret."""
    (secret,) = context["common_tls_context"]["tls_certificate_sds_secret_configs"]
    parts.refer(secret, OTHER_IDENTITY)


def renewed_without_intermediate() -> Plant:
    """On HTTP ports, every certificate but the first comes without the intermediate that signed it."""
    certificates = Certificates()

    def plant(workload: str, resources: Resources) -> None:
        renewed = len(certificates.until_now(workload, resources)) > 1
        identity = copy.deepcopy(parts.secret(resources, "identity"))
        if renewed:
            leaf_without_intermediate(workload, resources)
        broken = parts.secret(resources, "identity")
        broken["name"] = OTHER_IDENTITY
        resources["secrets"].append(identity)
        for listener in parts.inbound(resources):
            if list(parts.managers(listener)):
                shows_other_identity(parts.secure_chain(listener)["transport_socket"]["typed_config"])

    return plant


def clients_renewed_without_intermediate() -> Plant:
    """Every certificate but the first is shown to servers without the intermediate that signed it."""
    certificates = Certificates()

    def plant(workload: str, resources: Resources) -> None:
        renewed = len(certificates.until_now(workload, resources)) > 1
        other = copy.deepcopy(resources)
        if renewed:
            leaf_without_intermediate(workload, other)
        resources["secrets"].append(parts.secret(other, "identity") | {"name": OTHER_IDENTITY})
        for context in parts.client_contexts(resources):
            shows_other_identity(context)

    return plant


def streams_cut(_workload: str, resources: Resources) -> None:
    for listener in parts.inbound(resources):
        for proxy in parts.proxies(listener):
            proxy["max_downstream_connection_duration"] = "0.5s"


def for_a_tenth(**route: Any) -> Plant:
    """Treat a tenth of a load's requests like this, at the server."""

    def plant(_workload: str, resources: Resources) -> None:
        for host in parts.inbound_hosts(resources):
            usual = host["routes"][-1]
            match = {"prefix": "/", "headers": [A_TENTH_OF_THE_LOAD]}
            host["routes"].insert(0, {"match": match} | (route or {"route": mirrored(usual["route"])}))

    return plant


def mirrored(action: dict[str, Any]) -> dict[str, Any]:
    """The same route, with a copy of each request to the same application."""
    return action | {"request_mirror_policies": [{"cluster": action["cluster"]}]}


RENEWED = "rotation/leaf-is-renewed-before-expiry"
HITLESS = "rotation/leaf-renewal-loses-nothing"
NEW_HANDSHAKES = "rotation/new-handshakes-use-the-new-certificate"
ROOT = "rotation/whole-root-change-loses-nothing"
LIFETIME = "rotation/leaf-never-outlives-its-issuer"
ISSUER = "rotation/issuer-changes-under-load"
NEW_ISSUER = "rotation/each-part-takes-effect-alone[issuer]"

DEFECTS = {
    "leaf-never-renewed": Defect(
        "A workload keeps its first certificate for ever.", (RENEWED, NEW_HANDSHAKES), only_the_first(1)
    ),
    "second-renewal-missed": Defect("A certificate is renewed once and never again.", (RENEWED,), only_the_first(2)),
    "long-leaf-not-renewed": Defect(
        "Every workload gets one-hour certificates, whatever lifetime it requests.",
        (RENEWED, HITLESS),
        mesh=LavishLifetimes,
    ),
    "renewed-after-its-end": Defect(
        "Certificates are renewed a second after they expire, and clients accept them until then.",
        (RENEWED, HITLESS),
        mesh=LateRenewal,
    ),
    "serial-numbers-repeat": Defect(
        "The authority gives every second certificate of a workload the same serial number.",
        (RENEWED,),
        mesh=SerialNumbersRepeat,
    ),
    "renewed-for-servers-alone": Defect(
        "The data plane of a workload goes on to call others with its first certificate.",
        (RENEWED,),
        clients_keep_the_first(),
    ),
    "stale-certificate-for-some": Defect(
        "Some handshakes are still shown the certificate before the newest.", (NEW_HANDSHAKES,), stale_for_some()
    ),
    "renewed-without-intermediate": Defect(
        "Renewed certificates come without their intermediate, so that clients refuse them.",
        (HITLESS, SHORT),
        renewed_without_intermediate(),
    ),
    "renewed-without-intermediate-unnoticed": Defect(
        "Renewed certificates come without their intermediate, and no old connection ends.",
        (RENEWED,),
        mesh=planted(renewed_without_intermediate(), ConnectionsKept),
    ),
    "open-streams-cut": Defect("An open stream is cut within a second.", (HITLESS, OUTAGE), streams_cut),
    "load-fails-in-part": Defect(
        "One request in ten of a load is answered with 503.",
        (HITLESS, ISSUER, ROOT, OUTAGE, DRAINS, SHORT),
        for_a_tenth(direct_response={"status": 503}),
    ),
    "load-lost-in-part": Defect(
        "One request in ten of a load is answered by the proxy and never reaches the application.",
        (HITLESS, ISSUER, ROOT),
        for_a_tenth(direct_response={"status": 200}),
    ),
    "load-doubled-in-part": Defect(
        "One request in ten of a load reaches the application twice.", (HITLESS, ISSUER, ROOT), for_a_tenth()
    ),
    "issuer-not-followed": Defect(
        "After a change of the issuer, certificates under the old one are kept until they are due.",
        (ISSUER, NEW_ISSUER),
        mesh=IssuerNotFollowed,
    ),
    "new-issuer-sent-beside-the-old": Defect(
        "After a change of the issuer its certificate is sent as well, with the leaf and the issuer from before.",
        (ISSUER, NEW_ISSUER),
        first_leaf_below(lambda first, newest: "".join(dict.fromkeys((first, newest)))),
    ),
    "new-issuer-sent-with-the-old-leaf": Defect(
        "After a change of the issuer its certificate is sent with the leaf from before, which it did not sign.",
        (NEW_ISSUER,),
        first_leaf_below(lambda _first, newest: newest),
    ),
    "new-leaf-sent-without-issuer-by-clients": Defect(
        "Clients send their renewed certificates without the intermediate, so that servers refuse new connections.",
        (NEW_ISSUER,),
        clients_renewed_without_intermediate(),
    ),
    "leaf-outlives-issuer": Defect(
        "A certificate gets its whole lifetime even where its issuer ends before.", (LIFETIME,), mesh=LeafOutlivesIssuer
    ),
    "brief-leaf-outlives-issuer": Defect(
        "A certificate that lasts for less than its issuer gets its whole lifetime when that is about to end.",
        (LIFETIME,),
        mesh=BriefLeafOutlivesIssuer,
    ),
}
