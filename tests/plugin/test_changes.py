"""Where no control plane can tell when policies act, traffic is asked before a check goes on.

The meshes here are the embedded one with a control plane that is late, or deaf.
"""

from .conftest import Suite

MESH = """
import asyncio
from dataclasses import replace
from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh

class Late(EnvoyMesh):
    async def install(self, platform):
        await super().install(platform)
        self.documented = replace(self.documented, policies_act_within={within})
        self.late = set()
        platform.apply, platform.delete = self.later(platform.apply, {apply}), self.later(platform.delete, {delete})

    def later(self, change, seconds):
        async def act(manifests):
            await asyncio.sleep(seconds)
            await change(manifests)

        async def answer(manifests):
            self.late.add(asyncio.ensure_future(act(manifests)))

        return answer

def late(order):
    mesh = Late(order.version)
    mesh.prepare()
    return mesh

def pytest_meshcheck_register_mesh(registry):
    registry.register("late", late)
"""

STRICT = '''
@check(MUST, "demo.rule")
async def test_strict(mesh, client, server, outsider):
    """A strict policy acts as soon as the block begins."""
    async with mesh.policy(MutualTls(server, Mode.STRICT)):
        expect(await outsider.get(server)).refused(mesh.documented.plaintext_refused_as)
        expect(await client.get(server)).answered()
'''

OPEN = '''
@check(MUST, "demo.rule")
async def test_open(mesh, server, outsider):
    """Nothing of the policies of other checks acts."""
    for request in asyncio.as_completed([outsider.get(server) for _ in range(5)]):
        expect(await request).answered()
'''

ONE_AFTER_THE_OTHER = '''
@check(MUST, "demo.rule")
async def test_sequence(mesh, server, outsider):
    """Each policy acts in its block, and none after it."""
    for mode in (Mode.STRICT, Mode.PERMISSIVE, Mode.STRICT):
        async with mesh.policy(MutualTls(server, mode)):
            seen = await outsider.get(server)
            if mode is Mode.STRICT:
                expect(seen).refused(mesh.documented.plaintext_refused_as)
            else:
                expect(seen).answered()
    expect(await outsider.get(server)).answered()
'''

NESTED = '''
@check(MUST, "demo.rule")
async def test_nested(mesh, server, outsider):
    """After the inner block what the outer one says holds again."""
    async with mesh.policy(MutualTls(Namespace(server.namespace), Mode.STRICT)):
        async with mesh.policy(MutualTls(server, Mode.PERMISSIVE)):
            expect(await outsider.get(server)).answered()
        expect(await outsider.get(server)).refused(mesh.documented.plaintext_refused_as)
    expect(await outsider.get(server)).answered()
'''


def late(within: float = 20.0, apply: float = 0.3, delete: float = 0.3) -> str:
    """A mesh that acts so many seconds after it was told to."""
    return MESH.format(within=within, apply=apply, delete=delete)


def test_policies_of_a_late_mesh_act_where_they_are_to(suite: Suite) -> None:
    suite.write(STRICT, OPEN, ONE_AFTER_THE_OTHER, NESTED, conftest=late())
    run = suite.run(mesh="late")
    assert run.has("4 passed")
    assert run.code == 0


def test_what_never_comes_to_act_is_the_meshs_fault(suite: Suite) -> None:
    suite.write(STRICT, conftest=late(within=0.5, apply=30.0))
    assert suite.run(mesh="late").code == 1
    assert suite.verdicts() == {"demo/strict": "violates"}


def test_what_acts_after_it_was_taken_back_says_nothing_of_other_checks(suite: Suite) -> None:
    suite.write(STRICT, OPEN, conftest=late(within=1.0, delete=30.0))
    assert suite.run(mesh="late").code == 1
    assert suite.verdicts() == {"demo/strict": "conforms", "demo/open": "inconclusive"}
    assert suite.results()["demo/open"]["reason"].startswith("policies that were taken back go on acting, as grey/")
