"""The certificate of a workload as an X.509-SVID, one clause of the standard a check."""

import datetime
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from pytest_meshcheck.suite import (
    MUST,
    SHOULD,
    Capability,
    Exchange,
    MeshUnderTest,
    Workload,
    check,
    control,
    expect,
    is_signed_by,
)

PURPOSES = {
    # id-kp: its object identifier
    "serverAuth": ExtendedKeyUsageOID.SERVER_AUTH,
    "clientAuth": ExtendedKeyUsageOID.CLIENT_AUTH,
}

Extension = TypeVar("Extension", bound=x509.ExtensionType)


@dataclass(frozen=True)
class ServedLeaf:
    """The certificate that a data plane showed on a new connection.

    Attributes:
        workload: Whose it is.
        certificate: The leaf.
        above: The certificates that came with it.
        shown: When the handshake began, by the clock of the client's machine.
        call: A call to the workload; answered where the certificate is in use.
    """

    workload: Workload
    certificate: x509.Certificate
    above: tuple[x509.Certificate, ...]
    shown: datetime.datetime
    call: Exchange

    def has(self, kind: type[x509.ExtensionType]) -> bool:
        """Whether the certificate has an extension."""
        return any(isinstance(extension.value, kind) for extension in self.certificate.extensions)

    def extension(self, kind: type[Extension]) -> Extension:
        """An extension of the certificate; a violation if it is absent."""
        expect(self.has(kind), f"the extension {kind.__name__}").is_true(otherwise="the certificate does not have it")
        return self.certificate.extensions.get_extension_for_class(kind).value


@pytest_asyncio.fixture(params=["server", "renewing"], loop_scope="session")
async def served_leaf(
    request: pytest.FixtureRequest,
    mesh: MeshUnderTest,
    mesh_server: Workload,
    mesh_short_lived: Workload,
    mesh_outsider: Workload,
    mesh_client: Workload,
) -> ServedLeaf:
    """The certificate that a workload serves: one that lasts, or one that is renewed again and again."""
    workload = {"server": mesh_server, "renewing": mesh_short_lived}[request.param]
    (leaf, *above), shown = await mesh.shown_chain(mesh_outsider, workload)
    return ServedLeaf(workload, leaf, tuple(above), shown, await mesh_client.get(workload))


@check(MUST, "identity.svid-uri", proves={Capability.SPIFFE}, uses={Capability.MTLS})
async def test_svid_has_one_uri_san(mesh: MeshUnderTest, served_leaf: ServedLeaf) -> None:
    """The certificate has one URI SAN, the identity of the workload's service account."""
    names = served_leaf.extension(x509.SubjectAlternativeName)
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    expect(uris, "URI SANs").equals([mesh.identity_of(served_leaf.workload)])
    control(served_leaf.call, "a call with that certificate").answered()


@check(MUST, "identity.svid-ca", proves={Capability.SPIFFE}, uses={Capability.MTLS})
async def test_svid_is_no_ca(mesh: MeshUnderTest, served_leaf: ServedLeaf) -> None:
    """The certificate is not that of an authority: cA is false."""
    expect(served_leaf.extension(x509.BasicConstraints).ca, "cA").equals(False)
    control(served_leaf.call, "a call with that certificate").answered()


@check(MUST, "identity.svid-key-usage", proves={Capability.SPIFFE}, uses={Capability.MTLS})
async def test_svid_key_usage(mesh: MeshUnderTest, served_leaf: ServedLeaf) -> None:
    """The key may make signatures in handshakes, and sign neither certificates nor revocation lists."""
    usage = served_leaf.extension(x509.KeyUsage)
    stated = usage.digital_signature, usage.key_cert_sign, usage.crl_sign
    expect(stated, "digitalSignature, keyCertSign, cRLSign").equals((True, False, False))
    control(served_leaf.call, "a call with that certificate").answered()


@check(MUST, "identity.svid-extended-key-usage", proves={Capability.SPIFFE}, uses={Capability.MTLS})
async def test_svid_extended_key_usage(mesh: MeshUnderTest, served_leaf: ServedLeaf) -> None:
    """The key may authenticate clients and servers; without the extension it may authenticate anybody."""
    if served_leaf.has(x509.ExtendedKeyUsage):
        stated = served_leaf.extension(x509.ExtendedKeyUsage)
        missing = [name for name, purpose in PURPOSES.items() if purpose not in stated]
        expect(missing, "purposes that are missing from the extended key usage").equals([])
    control(served_leaf.call, "a call with that certificate").answered()


@check(SHOULD, "identity.svid-has-extended-key-usage", proves={Capability.SPIFFE}, uses={Capability.MTLS})
async def test_svid_has_extended_key_usage(mesh: MeshUnderTest, served_leaf: ServedLeaf) -> None:
    """The certificate has an extended key usage."""
    served_leaf.extension(x509.ExtendedKeyUsage)
    control(served_leaf.call, "a call with that certificate").answered()


@check(MUST, "identity.svid-validity", proves={Capability.SPIFFE}, uses={Capability.MTLS})
async def test_svid_is_valid_now(mesh: MeshUnderTest, served_leaf: ServedLeaf) -> None:
    """The certificate is valid at the time at which it is shown."""
    begin, end = served_leaf.certificate.not_valid_before_utc, served_leaf.certificate.not_valid_after_utc
    renewal = mesh.time(mesh.documented.rotation.leaf_renewed_within)
    expect(begin <= served_leaf.shown, f"a beginning before {served_leaf.shown}").is_true(
        otherwise=f"it begins at {begin}"
    )
    expect(served_leaf.shown <= end, f"an end after {served_leaf.shown}", rests_on=renewal).is_true(
        otherwise=f"it ends at {end}"
    )
    control(served_leaf.call, "a call with that certificate").answered()


@check(
    MUST,
    "identity.svid-chain",
    proves={Capability.SPIFFE},
    uses={Capability.MTLS, Capability.CUSTOM_AUTHORITY},
)
async def test_svid_chains_to_root(mesh: MeshUnderTest, served_leaf: ServedLeaf) -> None:
    """The certificate chains to an announced root by the certificates that are served with it."""
    chain = [served_leaf.certificate, *served_leaf.above]
    expect(chains_to(chain, mesh.authority.roots), "a chain to an announced root").is_true(
        otherwise="it does not chain"
    )
    control(served_leaf.call, "a call with that certificate").answered()


def chains_to(chain: list[x509.Certificate], roots: Sequence[x509.Certificate]) -> bool:
    """Whether each certificate is signed by the next, and the last is, or is signed by, one of the roots."""
    whole = all(is_signed_by(one, signer) for one, signer in itertools.pairwise(chain))
    return whole and any(chain[-1] == root or is_signed_by(chain[-1], root) for root in roots)
