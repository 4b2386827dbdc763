"""Which certificates open a tunnel to a workload, also where the workload accepts plaintext beside it."""

import pytest

from pytest_meshcheck.suite import MUST, Capability, MeshUnderTest, Unsupported, Workload, check, control, expect

from .peers import (
    expired,
    good,
    judged_by_bytes,
    not_yet_valid,
    of_another_authority,
    of_another_trust_domain,
    without_identity,
)

HOSTILE = {
    # name: the certificate of the peer
    "other-authority": of_another_authority,
    "expired": expired,
    "not-yet-valid": not_yet_valid,
    "other-trust-domain": of_another_trust_domain,
    "no-identity": without_identity,
}
NO_CERTIFICATE = "no-certificate"


@pytest.mark.parametrize("hostile", [NO_CERTIFICATE, *HOSTILE])
@check(MUST, "mtls.tunnel", proves={Capability.MTLS}, uses={Capability.CUSTOM_AUTHORITY})
async def test_hostile_tunnel_is_refused(
    mesh: MeshUnderTest, server: Workload, outsider: Workload, hostile: str
) -> None:
    """A peer that opens a tunnel to an enrolled server is refused if its certificate is bad, or if it has none.

    With a good certificate it gets through. No policy is applied.
    """
    if not mesh.adapter.endpoint(server, "http").tunnel:
        raise Unsupported("data planes are not reached through tunnels: certificates are tested on each port instead")
    identity = mesh.identity_of(outsider)
    control(await mesh.tls_request(outsider, server, good(mesh, identity))).answered()
    credentials = HOSTILE[hostile](mesh, identity) if hostile in HOSTILE else None
    refused = await mesh.tls_request(outsider, server, credentials)
    expect(refused).refused(mesh.refusals.client, arrived=judged_by_bytes(mesh, await server.attempts(refused)))
