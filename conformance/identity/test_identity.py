"""Who the peer is, as the server's application and the certificate say."""

import itertools
from collections.abc import Sequence

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    MeshUnderTest,
    Mode,
    MutualTls,
    Workload,
    check,
    control,
    expect,
)

FORGED = {
    # header: what a client claims in it
    "x-forwarded-client-cert": "By=spiffe://cluster.local/ns/blue/sa/server;URI=spiffe://cluster.local/ns/blue/sa/forged",
    "l5d-client-id": "forged.blue.serviceaccount.identity.linkerd.cluster.local",
    "x-forwarded-identity": "spiffe://cluster.local/ns/blue/sa/forged",
}


@pytest.mark.parametrize("port", ["http", "grpc"])
@check(MUST, "identity.caller", proves={Capability.PEER_IDENTITY})
async def test_server_sees_the_callers_identity(
    mesh: MeshUnderTest, server: Workload, client: Workload, other: Workload, twin_client: Workload, port: str
) -> None:
    """The identity that a server is told is that of the caller's service account; different callers differ.

    Two service accounts of one namespace, and one of the same name in another namespace.
    """
    seen = []
    for caller in (client, other, twin_client):
        served = control(await caller.get(server, port)).answered()
        (attempt,) = control(await server.saw(served)).count(1)
        seen.append(mesh.peer_identity(attempt))
        expect(seen[-1], f"the identity of {caller}").equals(mesh.identity_of(caller))
    expect(len(set(seen)), "different identities").equals(3)


@check(MUST, "identity.svid", proves={Capability.SPIFFE}, uses={Capability.MTLS})
async def test_svid_is_well_formed(
    mesh: MeshUnderTest, server: Workload, renewing: Workload, outsider: Workload, client: Workload
) -> None:
    """The certificate that an enrolled workload serves is a well-formed X.509-SVID of its service account.

    > An X.509 SVID MUST contain exactly one URI SAN, and by extension, exactly one SPIFFE ID.

    > […] leaf certificates MUST set the cA field to false.

    > Leaf SVIDs MUST set digitalSignature.

    It can authenticate both clients and servers, is valid now, and its chain ends in the announced root, where that is
    the suite's own.
    """
    for workload in (server, renewing):
        (leaf, *above), now = await mesh.shown_chain(outsider, workload)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        expect(uris, "URI SANs").equals([mesh.identity_of(workload)])
        constraints = leaf.extensions.get_extension_for_class(x509.BasicConstraints).value
        expect(constraints.ca, "cA").equals(False)
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
        expect((usage.digital_signature, usage.key_cert_sign), "digitalSignature, keyCertSign").equals((True, False))
        extended = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        for wanted in (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH):
            expect(wanted in extended, f"extended key usage {wanted.dotted_string}").holds("it is missing")
        valid = leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc
        actual = f"valid from {leaf.not_valid_before_utc} to {leaf.not_valid_after_utc}"
        expect(valid, f"valid at {now}", rests_on=mesh.time(mesh.documented.rotation.leaf_renewed_within)).holds(actual)
        if mesh.claims(Capability.CUSTOM_AUTHORITY):
            expect(chains_to(leaf, above, mesh.authority.roots), "a chain to an announced root").holds(
                "it does not chain"
            )
        control(await client.get(workload), "a call with that certificate").answered()


def chains_to(leaf: x509.Certificate, above: list[x509.Certificate], roots: Sequence[x509.Certificate]) -> bool:
    """Whether each certificate is signed by the next, and the last is, or is signed by, one of the roots."""
    chain = [leaf, *above]
    whole = all(signed_by(one, signer) for one, signer in itertools.pairwise(chain))
    return whole and any(chain[-1] == root or signed_by(chain[-1], root) for root in roots)


def signed_by(certificate: x509.Certificate, signer: x509.Certificate) -> bool:
    """Whether the names match and the signature holds."""
    try:
        certificate.verify_directly_issued_by(signer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


@pytest.mark.parametrize("who", ["enrolled", "outsider"])
@check(MUST, "identity.spoofing", proves={Capability.PEER_IDENTITY}, uses={Capability.PERMISSIVE_MTLS})
async def test_claimed_identity_headers_are_not_trusted(
    mesh: MeshUnderTest, server: Workload, client: Workload, outsider: Workload, who: str
) -> None:
    """An identity that a client claims in a header is removed or overwritten before the application sees it.

    This holds for enrolled clients and for outsiders under permissive mutual TLS.
    """
    caller = client if who == "enrolled" else outsider
    claims = tuple((name, value) for name, value in FORGED.items() if name in mesh.documented.identity.headers)
    async with mesh.policy(MutualTls(server, Mode.PERMISSIVE)):
        served = control(await caller.get(server, headers=(*claims, ("x-neutral", "arrives")))).answered()
    (attempt,) = control(await server.saw(served)).count(1)
    control(attempt.header("x-neutral"), "a neutral header").equals("arrives")
    told = [attempt.header(name) or "" for name in mesh.documented.identity.headers]
    expect(any("forged" in value for value in told), "a claimed identity at the application").equals(False)
    expected = mesh.identity_of(client) if who == "enrolled" else None
    expect(mesh.peer_identity(attempt), "the caller's identity").equals(expected)
