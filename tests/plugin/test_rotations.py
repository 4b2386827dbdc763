"""Where no control plane can tell when data planes follow a rotation, they are asked before the next step.

The mesh here is the embedded one, whose data planes learn late of what is rotated.
"""

from .conftest import Suite

MESH = """
import asyncio
from dataclasses import replace
from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh

class Late(EnvoyMesh):
    held = False

    async def install(self, platform):
        await super().install(platform)
        rotation = replace(self.documented.rotation, roots_act_within=20.0)
        self.documented = replace(self.documented, policies_act_within=20.0, rotation=rotation)

    async def rotate(self, what, lifetime=None):
        self.held = True
        await super().rotate(what, lifetime)
        asyncio.get_running_loop().call_later(0.5, self.go_on)

    def go_on(self):
        self.held = False
        self.publish()

    def publish(self, *, force=False):
        if not self.held:
            super().publish(force=force)

def late(order):
    mesh = Late(order.version)
    mesh.prepare()
    return mesh

def pytest_meshcheck_register_mesh(registry):
    registry.register("late", late)
"""

TRUSTED = '''
@check(MUST, "demo.rule")
async def test_trusted(mesh, server, outsider):
    """A peer under a root that was added is served at once."""
    await mesh.rotate(Rotation.ROOT_ADD)
    peer = mesh.authority.next_issuer.leaf([mesh.identity_of(outsider)], Validity.of(datetime.timedelta(hours=1)))
    expect(await mesh.tls_request(outsider, server, peer)).answered()
    await mesh.rotate(Rotation.ROOT_SWITCH)
    await mesh.rotate(Rotation.ROOT_DROP)
'''

DROPPED = '''
@check(MUST, "demo.rule")
async def test_dropped(mesh, client, server, outsider):
    """The first root goes when no data plane shows a certificate under it any more."""
    for step in (Rotation.ROOT_ADD, Rotation.ROOT_SWITCH, Rotation.ROOT_DROP):
        await mesh.rotate(step)
    (root,) = mesh.authority.roots
    leaf, issuer, *_ = await mesh.served_chain(outsider, server)
    issuer.verify_directly_issued_by(root)
    leaf.verify_directly_issued_by(issuer)
    expect(await client.get(server)).answered()
'''

IMPORTS = "import datetime\n"


def test_a_second_root_is_trusted_before_a_check_goes_on(suite: Suite) -> None:
    suite.write(IMPORTS + TRUSTED, conftest=MESH)
    assert suite.run(mesh="late").code == 0
    assert suite.verdicts() == {"demo/trusted": "conforms"}


def test_the_first_root_goes_when_no_leaf_needs_it_any_more(suite: Suite) -> None:
    suite.write(DROPPED, conftest=MESH)
    assert suite.run(mesh="late").code == 0
    assert suite.verdicts() == {"demo/dropped": "conforms"}


ALIKE = '''
@check(MUST, "demo.rule")
async def test_alike(mesh, short_lived, second_client):
    """Any workload shows how certificates are renewed, so none is started for that."""
    expect(short_lived is second_client).is_true(otherwise="there are two")
'''


def test_nobody_is_started_for_renewals_where_all_certificates_live_equally_long(suite: Suite) -> None:
    suite.write(ALIKE, conftest=MESH.replace("held = False", "held = False\n    one_lifetime = True", 1))
    assert suite.run(mesh="late").code == 0
    suite.write(ALIKE, conftest=MESH)
    assert suite.run(mesh="late").code == 1
