"""Certificates, and what they protect, lost because the authority is away for a while."""

from tests.falsify import parts
from tests.falsify.defect import Defect, Resources
from tests.falsify.meshes.faulty import planted
from tests.falsify.meshes.outages import (
    ClientNeverRecovers,
    NeverRecovers,
    PlaintextAfterARefusal,
    PlaintextWithoutAuthority,
    SpareAuthority,
    ValidCertificatesDropped,
)

SHORT = "rotation/short-outage-of-the-authority-is-harmless"
CLOSED = "rotation/long-outage-fails-closed"
HEALS = "rotation/long-outage-heals"


def expired_accepted_by_clients(_workload: str, resources: Resources) -> None:
    parts.accept_expired_servers(resources)


DEFECTS = {
    "valid-certificates-dropped": Defect(
        "A certificate that cannot be renewed is given up although it is still valid.",
        (SHORT,),
        mesh=ValidCertificatesDropped,
    ),
    "never-renewed-after-an-outage": Defect(
        "Certificates are no longer renewed after an outage of the authority.", (SHORT, HEALS), mesh=NeverRecovers
    ),
    "never-renewed-nor-missed": Defect(
        "Certificates are not renewed after an outage of the authority, and clients accept expired ones.",
        (HEALS,),
        mesh=planted(expired_accepted_by_clients, NeverRecovers),
    ),
    "client-never-renewed-after-an-outage": Defect(
        "The certificates of clients are no longer renewed after an outage of the authority.",
        (HEALS,),
        mesh=ClientNeverRecovers,
    ),
    "spare-authority": Defect(
        "While the authority is away, another one renews certificates in its stead.", (SHORT,), mesh=SpareAuthority
    ),
    "plaintext-without-authority": Defect(
        "While the authority is away, clients connect without TLS.", (CLOSED,), mesh=PlaintextWithoutAuthority
    ),
    "plaintext-after-a-refusal": Defect(
        "Clients connect without TLS once a server with an expired certificate was refused.",
        (CLOSED,),
        mesh=PlaintextAfterARefusal,
    ),
    "ended-certificate-accepted": Defect(
        "Clients accept a server whose certificate has expired.",
        (CLOSED,),
        expired_accepted_by_clients,
    ),
}
