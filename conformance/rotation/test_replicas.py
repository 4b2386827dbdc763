"""The trust anchor of certificates before and after a restart of the authority."""

from collections.abc import Sequence

from cryptography import x509

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    MeshUnderTest,
    Workload,
    WorkloadSpec,
    check,
    expect,
)

from .authorities import once_reached

NEWCOMER = WorkloadSpec("blue", "of-replica")


def anchor(chain: Sequence[x509.Certificate]) -> tuple[str, str]:
    """The root above a served chain: its name, and the identifier of its key if the chain has that."""
    last = chain[-1]
    try:
        key = last.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier or b""
    except x509.ExtensionNotFound:
        key = b""
    return last.issuer.rfc4514_string(), key.hex()


@check(
    MUST,
    "rotation.replicas",
    proves={Capability.CA_OUTAGE},
    uses={Capability.MTLS},
    disruptive=True,
)
async def test_every_replica_issues_one_bundle(
    mesh: MeshUnderTest, client: Workload, server: Workload, outsider: Workload
) -> None:
    """A new replica of the authority issues certificates under the same root as its predecessor.

    A workload with a certificate of the new replica and workloads with certificates of the old one serve each other.
    """
    before = anchor(await mesh.served_chain(outsider, server))
    async with mesh.disruptions.authority_outage():
        pass
    async with mesh.deploy(NEWCOMER, reached=False) as deployed:
        newcomer = deployed.service
        after = anchor(await mesh.served_chain(outsider, newcomer))
        expect(after, "the root above a certificate of the new replica").equals(before)
        expect(await once_reached(mesh, client, newcomer), "a request to the newcomer").answered()
        expect(await once_reached(mesh, newcomer, server), "a request of the newcomer").answered()
