"""Certificates that no data plane may accept, whoever signed them: see malformed.toml."""

import enum
import tomllib
from pathlib import Path

import msgspec
import pytest

from pytest_meshcheck.suite import (
    MUST,
    Capability,
    Credentials,
    MeshUnderTest,
    Recipe,
    Validity,
    Workload,
    check,
)

from .peers import HOUR, client_is_refused, path_of, server_is_refused

PORTS = ("http", "grpc", "tcp")
"""With requests that the data plane opens, and without: an identity that fits no header stops the former alone."""


class Decision(enum.StrEnum):
    """What a data plane does with a certificate."""

    REFUSED = "refused"
    EITHER = "either"


class Clause(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sentence of a standard."""

    title: str
    url: str
    quote: str


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of the corpus, whose head documents the fields."""

    id: str
    wrong: str
    clause: Clause
    as_client: Decision
    as_server: Decision
    recipe: Recipe
    spiffe: bool = False

    def mint(self, mesh: MeshUnderTest, right: str) -> Credentials:
        """The certificate in place of the right identity's."""
        domain = mesh.authority.trust_domain
        terms = {
            "identity": right,
            "san": f"{'URI' if '://' in right else 'DNS'}:{right}",
            "trust_domain": domain,
            "TRUST_DOMAIN": domain.upper(),
            "path": path_of(right, domain),
        }
        names = tuple(name.format_map(terms) for name in self.recipe.names)
        return msgspec.structs.replace(self.recipe, names=names).mint(mesh.authority.issuer, Validity.of(HOUR))

    def __str__(self) -> str:
        return f"{self.wrong} ({self.clause.title})"


def corpus() -> list[Case]:
    """The cases, in their order."""
    text = Path(__file__).with_name("malformed.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, list[Case]])["case"]


AS_CLIENT = [case for case in corpus() if case.as_client is Decision.REFUSED]
AS_SERVER = [case for case in corpus() if case.as_server is Decision.REFUSED]


def applies(mesh: MeshUnderTest, case: Case) -> None:
    """Raise Unsupported where the clause is about identities that the mesh does not have."""
    if case.spiffe:
        mesh.insist_on(Capability.SPIFFE, f"{case.clause.title} is about SPIFFE identities")


@pytest.mark.parametrize("case", AS_CLIENT, ids=lambda case: case.id)
@check(MUST, "mtls.well-formed-identity", uses={Capability.CUSTOM_AUTHORITY, Capability.STRICT_MTLS})
async def test_malformed_identity_is_refused(
    mesh: MeshUnderTest, server: Workload, outsider: Workload, case: Case
) -> None:
    """A client whose certificate breaks a rule of X509-SVID or RFC 5280 is refused, over HTTP, gRPC and opaque TCP.

    The mesh's own authority signed it: no identity, two of them, one with a NUL, a wildcard or dot segments in it, the
    certificate of an authority, one for another purpose, and others. The corpus names the clause of each.
    """
    applies(mesh, case)
    await client_is_refused(mesh, outsider, server, case.mint, *PORTS, what=str(case))


@pytest.mark.parametrize("case", AS_SERVER, ids=lambda case: case.id)
@check(
    MUST, "mtls.well-formed-identity", uses={Capability.CUSTOM_AUTHORITY, Capability.SERVER_IDENTITY, Capability.MTLS}
)
async def test_malformed_identity_of_server_is_refused(
    mesh: MeshUnderTest, client: Workload, impostor: Workload, case: Case
) -> None:
    """A client's data plane refuses a server whose certificate breaks a rule of X509-SVID or RFC 5280.

    Over HTTP, gRPC and opaque TCP, on ports where the mesh lets clients reach an impostor.
    """
    applies(mesh, case)
    for port in mesh.ports_that_meet_impostors(*PORTS):
        await server_is_refused(mesh, client, impostor, case.mint, port, what=f"{port}, {case}")
