"""Servers whose identity is almost the right one."""

from collections.abc import Callable

import pytest

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    Credentials,
    MeshUnderTest,
    Unsupported,
    Validity,
    Via,
    Workload,
    check,
)

from .peers import HOUR, insist_on_impostors, path_of, server_is_refused

PORTS = ("http", "grpc", "tcp")

NEAR_MISSES: dict[str, Callable[[str, str], str]] = {
    # id: from the right identity and its trust domain to one that an inexact comparison takes for it
    "begins-with-it": lambda right, _: f"{right}x",
    "ends-with-it": lambda right, _: longer_in_front(right),
    "one-segment-more": lambda right, _: f"{right}/x" if "://" in right else f"x.{right}",
    "one-segment-less": lambda right, _: right.rpartition("/")[0] if "://" in right else right.partition(".")[2],
    "other-case": lambda right, domain: right.replace(path_of(right, domain), path_of(right, domain).upper()),
    "other-trust-domain": lambda right, domain: right.replace(domain, "foreign.example"),
    "any-character-for-a-dot": lambda right, domain: right.replace(domain, domain.replace(".", "x")),
}


def longer_in_front(identity: str) -> str:
    """Longer by a letter, in front of all but the scheme."""
    scheme, separator, rest = identity.rpartition("://")
    return f"{scheme}{separator}x{rest}"


@pytest.mark.parametrize("via", Via, ids=str)
@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("near", NEAR_MISSES)
@check(MUST, "mtls.exact-identity", proves={Capability.SERVER_IDENTITY}, uses={Capability.CUSTOM_AUTHORITY})
async def test_near_miss_server_is_refused(
    mesh: MeshUnderTest, client: Workload, impostor: Workload, near: str, port: str, via: Via
) -> None:
    """A client's data plane refuses a server whose identity is almost the one that is called.

    It begins or ends with the right identity, or differs from it in case, by a segment, by its trust domain, or in a
    dot that a pattern would take for any character. The certificate is otherwise good, from the right authority.

    DNS names that differ in case alone are equal.
    """
    if near == "other-case" and not mesh.claims(Capability.SPIFFE):
        raise Unsupported(
            "identities are DNS names, where case makes no difference (https://www.rfc-editor.org/rfc/rfc4343)"
        )
    insist_on_impostors(mesh, port, via)

    def near_miss(mesh: MeshUnderTest, right: str) -> Credentials:
        return mesh.authority.issuer.leaf([NEAR_MISSES[near](right, mesh.authority.trust_domain)], Validity.of(HOUR))

    await server_is_refused(mesh, client, impostor, near_miss, port, via)
