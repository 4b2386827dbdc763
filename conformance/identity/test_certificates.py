"""The certificates of several workloads, compared."""

import itertools

from pytest_meshcheck.suite import SHOULD, Capability, MeshUnderTest, Workload, check, control, expect


@check(SHOULD, "identity.own-certificate", uses={Capability.MTLS})
async def test_certificate_per_workload(
    mesh: MeshUnderTest,
    outsider: Workload,
    client: Workload,
    second_client: Workload,
    server: Workload,
    client_in_green: Workload,
    server_in_green: Workload,
) -> None:
    """No two workloads with different service accounts serve the same certificate, or one key under two certificates.

    Among them are workloads of the same name in two namespaces.
    """
    control(await client.get(server), "a request between two of them").answered()
    workloads = (client, second_client, server, client_in_green, server_in_green)
    leaves = [(await mesh.served_chain(outsider, workload))[0] for workload in workloads]
    for (one, its_leaf), (other, other_leaf) in itertools.combinations(zip(workloads, leaves, strict=True), 2):
        expect(its_leaf.public_key(), f"the keys of {one} and {other}").differs_from(other_leaf.public_key())
