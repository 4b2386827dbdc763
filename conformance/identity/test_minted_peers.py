"""The identity that a server receives of a peer that speaks TLS itself: a compromised workload."""

import datetime
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    Documented,
    MeshUnderTest,
    Mode,
    MutualTls,
    Protocol,
    Via,
    Workload,
    check,
    control,
    expect,
    needs,
)

HOUR = datetime.timedelta(hours=1).total_seconds()
Headers = tuple[tuple[str, str], ...]

CLAIMS: Mapping[str, Callable[[str], str]] = {
    # header: how it names an identity
    "x-forwarded-client-cert": lambda name: f"By={name};URI={name}",
    "l5d-client-id": lambda name: name,
    "x-forwarded-identity": lambda name: name,
}

REQUESTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    # id: port, and how the request is made
    "http1": ("http", {}),
    "http2": ("http", {"protocol": Protocol.H2C}),
    "grpc": ("grpc", {}),
}

OPAQUE: Mapping[str, Callable[[Headers, str], str]] = {
    # id: the bytes sent on an opaque port, made from headers that claim an identity, and from an address
    "request": lambda headers, _: "\r\n".join(["GET / HTTP/1.1", *map(": ".join, headers), "\r\n"]),
    "proxy-protocol": lambda _, address: (
        f"PROXY {'TCP6' if ':' in address else 'TCP4'} {address} {address} 1234 80\r\n"
    ),
}
SERVER_FIRST = "tcp-banner"
"""Where the server speaks first there is no protocol to detect, so that every mesh has the port be opaque."""


def claims(mesh: MeshUnderTest, victim: Workload) -> Headers:
    """Every header in which this mesh passes identities, twice, with that of a victim."""
    name = mesh.identity_of(victim)
    return tuple((header, CLAIMS[header](name)) for header in mesh.documented.identity.headers) * 2


@pytest.mark.parametrize("spoken", REQUESTS)
@check(
    MUST,
    "identity.of-certificate",
    proves={Capability.PEER_IDENTITY},
    uses={Capability.CUSTOM_AUTHORITY, Capability.STRICT_MTLS},
)
async def test_minted_peer_cannot_claim_another(
    mesh: MeshUnderTest, server: Workload, client: Workload, outsider: Workload, spoken: str
) -> None:
    """A peer with a good certificate of its own that claims another identity in headers is seen under its own alone.

    It speaks TLS itself, as a compromised workload would, so that no data plane of its own removes what it claims. Over
    HTTP/1.1, HTTP/2 and gRPC.
    """
    port, request = REQUESTS[spoken]
    headers = (*claims(mesh, client), ("x-neutral", "arrives"))
    own = mesh.authority.issue(mesh.identity_of(outsider), HOUR)
    async with mesh.policy(MutualTls(server, Mode.STRICT)):
        served = control(
            await mesh.tls_request(outsider, server, own, port, headers=headers, request=request)
        ).answered()
    (attempt,) = control(await server.attempts(served)).attempted(1)
    control(attempt.header("x-neutral"), "a neutral header").equals("arrives")
    expect(mesh.peer_identity(attempt), "the identity that the server receives").equals(mesh.identity_of(outsider))
    for header in mesh.documented.identity.headers:
        received = attempt.header(header) or ""
        expect(mesh.identity_of(client) in received, f"the claimed identity in {header}").equals(False)


def not_terminated(documented: Documented) -> str:
    """Why a peer cannot speak TLS on an opaque port, if the mesh documents that."""
    if documented.mtls.tls_on_opaque_ports:
        return ""
    return f"TLS is not terminated on opaque ports ({documented.mtls.source('tls_on_opaque_ports')})"


@needs(not_terminated)
@pytest.mark.parametrize("said", OPAQUE)
@check(
    MUST,
    "identity.of-certificate",
    proves={Capability.PEER_IDENTITY},
    uses={Capability.CUSTOM_AUTHORITY, Capability.STRICT_MTLS},
)
async def test_minted_peer_is_not_believed_on_opaque_ports(
    mesh: MeshUnderTest, server: Workload, client: Workload, outsider: Workload, said: str
) -> None:
    """On an opaque port the mesh passes on the bytes of a peer unaltered, and believes none of the claims in them.

    Its bytes arrive as they are, a request with identity headers as well as a line of the PROXY protocol, and the
    connection is not said to come from the address that it claims, which is that of a workload of the mesh.
    """
    claimed, _ = outsider.request(client, via=Via.ADDRESS).address
    payload = OPAQUE[said](claims(mesh, client), claimed).encode()
    at_once = {"raw": payload, "at_once": True}  # such a line comes before everything else
    own = mesh.authority.issue(mesh.identity_of(outsider), HOUR)
    async with mesh.policy(MutualTls(server, Mode.STRICT)):
        served = await mesh.tls_request(outsider, server, own, SERVER_FIRST, request=at_once)
        attempts = control(await server.attempts(served)).attempted(1)
    expect(attempts).bodies(len(payload), hashlib.sha256(payload).hexdigest())
    address = attempts[0].peer[0] if attempts[0].peer else ""
    expect(address, "the peer's address").differs_from(claimed)
