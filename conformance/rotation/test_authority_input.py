"""The files of an authority that a mesh is given: in other forms, in part, and broken."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from cryptography import x509

from pytest_meshcheck.suite import (
    MUST,
    BundleForm,
    Capability,
    Exchange,
    Flaw,
    MeshUnderTest,
    Mode,
    MutualTls,
    Rotation,
    Via,
    Workload,
    broken,
    check,
    control,
    converge,
    expect,
    proves,
)

from ..mtls.peers import is_reached
from .authorities import UNHURRIED, follows, leads_to, peer, shows_present_issuer, two_roots

FORMS = [form for form in BundleForm if form is not BundleForm.PLAIN]
PARTS = [
    pytest.param(Rotation.ISSUER, marks=proves(Capability.ISSUER_ROTATION)),
    pytest.param(Rotation.ISSUER_CERTIFICATE, marks=proves(Capability.ISSUER_ROTATION)),
]
READABLE = (Flaw.MISMATCHED, Flaw.EXPIRED, Flaw.FOREIGN)
"""The flaws of files that can be read, so that a control plane could issue under them."""


@contextmanager
def bundle_in(mesh: MeshUnderTest, form: BundleForm) -> Iterator[None]:
    """Roots are announced in this form while the block runs."""
    mesh.authority.form = form
    try:
        yield
    finally:
        mesh.authority.form = BundleForm.PLAIN


@pytest.mark.parametrize("form", FORMS)
@check(
    MUST,
    "rotation.bundle",
    proves={Capability.ROOT_ROTATION},
    uses={Capability.CUSTOM_AUTHORITY, Capability.STRICT_MTLS},
    disruptive=True,
)
async def test_bundle_form_does_not_matter(
    mesh: MeshUnderTest, client: Workload, server: Workload, outsider: Workload, impostor: Workload, form: BundleForm
) -> None:
    """A bundle that is written in another order, twice, with comments or without its last newline acts like any other.

    A second root is announced in it, and dropped again. Meanwhile clients under it are accepted and, where clients can
    reach an impostor, so are servers.
    """

    async def request_under_new_root() -> Exchange:
        return await mesh.tls_request(outsider, server, peer(issuers["new"], mesh.identity_of(outsider)))

    announced = mesh.time(mesh.documented.rotation.roots_act_within)
    with bundle_in(mesh, form):
        async with mesh.policy(MutualTls(server, Mode.STRICT), *mesh.fresh_connections(server)):
            control(await client.get(server), "a client of the mesh before").answered()
            if meets_impostors := mesh.meets_impostors("http"):
                await mesh.impersonate(impostor, peer(mesh.authority.issuer, mesh.identity_of(impostor)))
                await is_reached(mesh, client, impostor, "http", Via.SERVICE)
            async with two_roots(mesh) as issuers:
                if meets_impostors:
                    await mesh.impersonate(impostor, peer(issuers["new"], mesh.identity_of(impostor)))
                    expect(await client.get(impostor), "a server of the new root", rests_on=announced).answered()
                expect(await request_under_new_root(), "a client of the new root", rests_on=announced).answered()
                caller = peer(issuers["old"], mesh.identity_of(outsider))
                expect(await mesh.tls_request(outsider, server, caller), "a client of the old root").answered()
                expect(await client.get(server), "a client of the mesh").answered()
            within = mesh.documented.rotation.roots_act_within + mesh.tolerance
            refused = await mesh.until_refused("client of the dropped root", request_under_new_root, within)
            expect(refused).refused(mesh.refusals.client, arrived=await server.attempts(refused))
            expect(await client.get(server), "a client of the mesh").answered()


@pytest.mark.parametrize("part", PARTS)
@check(MUST, "rotation.parts", proves={Capability.ISSUER_ROTATION}, disruptive=True)
async def test_each_part_takes_effect_alone(
    mesh: MeshUnderTest, client: Workload, server: Workload, outsider: Workload, part: Rotation
) -> None:
    """The issuer's key and certificate, or its certificate alone, can be replaced, and act without a restart."""
    async with mesh.policy(*mesh.fresh_connections(server)):
        control(await client.get(server), "a client of the mesh before").answered()
        await mesh.rotate(part)
        within = mesh.documented.rotation.issuer_acts_within + mesh.tolerance
        seconds = await follows(mesh, outsider, server, within)
        mesh.measure("in leaves after (s)", round(seconds, 3))
        expect(await client.get(server), "a client of the mesh").answered()


@check(MUST, "rotation.parts", proves={Capability.ROOT_ROTATION}, uses={Capability.CUSTOM_AUTHORITY}, disruptive=True)
async def test_roots_take_effect_alone(
    mesh: MeshUnderTest, client: Workload, server: Workload, outsider: Workload
) -> None:
    """A root that is announced while the issuer stays is trusted without a restart, or as documented."""
    async with two_roots(mesh) as issuers:
        served = await mesh.tls_request(outsider, server, peer(issuers["new"], mesh.identity_of(outsider)))
        announced = mesh.time(mesh.documented.rotation.roots_act_within)
        expect(served, "a client of the new root", rests_on=announced).answered()
        control(await client.get(server)).answered()


@pytest.mark.parametrize("flaw", Flaw)
@check(
    MUST,
    "rotation.broken-input",
    proves={Capability.ISSUER_ROTATION},
    uses={Capability.CUSTOM_AUTHORITY},
    disruptive=True,
)
async def test_broken_authority_input_is_loud(
    mesh: MeshUnderTest, client: Workload, server: Workload, outsider: Workload, flaw: Flaw
) -> None:
    """A control plane that is given broken files of an authority reports them, and goes on with its current one."""
    issuer = mesh.authority.issuer.certificate
    await shows_present_issuer(mesh, outsider, server)
    async with mesh.disruptions.authority_files(broken(mesh.authority, flaw)) as said:
        mesh.measure("the control plane says", said)
        expect(said, "what the control plane says about it").differs_from("")
        expect(await client.get(server), "a request meanwhile").answered()
        chain = await mesh.served_chain(outsider, server)
        expect(issuer in chain, "the present issuer").is_true(otherwise="it is another one")


@pytest.mark.parametrize("flaw", READABLE)
@check(
    MUST,
    "rotation.broken-input",
    proves={Capability.ISSUER_ROTATION},
    uses={Capability.CUSTOM_AUTHORITY, Capability.LEAF_ROTATION},
    disruptive=True,
)
async def test_broken_authority_input_is_not_used(
    mesh: MeshUnderTest, client: Workload, short_lived: Workload, outsider: Workload, flaw: Flaw
) -> None:
    """A certificate that is renewed after broken files were given comes from the current issuer."""
    issuer, files = mesh.authority.issuer.certificate, broken(mesh.authority, flaw)
    within = mesh.documented.rotation.leaf_renewed_within + mesh.tolerance

    async def chain() -> tuple[x509.Certificate, ...]:
        return await mesh.served_chain(outsider, short_lived)

    async with mesh.disruptions.authority_files(files):
        old, *_ = await chain()
        new, _ = await converge(chain, lambda shown: shown[0] != old, within, every=UNHURRIED)
        expect(new[0] != old, f"a new certificate within {within:g} s", rests_on=mesh.time(within)).is_true(
            otherwise="it is the same"
        )
        expect(leads_to(new, issuer), "a new certificate to be signed by the current issuer").is_true(
            otherwise=f"its issuer is called {new[0].issuer.rfc4514_string()}"
        )
        expect(await client.get(short_lived), "a call with that certificate").answered()
