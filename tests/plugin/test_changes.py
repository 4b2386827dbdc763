"""Where no control plane can tell when policies act, traffic is asked before a check goes on.

The mesh here is the embedded one with a control plane that is late, or deaf.
"""

from pathlib import Path

import pytest

from pytest_meshcheck.testbed.convergence.cache import SWITCH
from tests.late_mesh import Delays, conftest

from .conftest import Suite

ROOT = Path(__file__).resolve().parents[2]

STRICT = '''
@check(MUST, "demo.rule")
async def test_strict(mesh, client, server, outsider):
    """A strict policy acts as soon as the block begins."""
    async with mesh.policy(MutualTls(server, Mode.STRICT)):
        expect(await outsider.get(server)).refused(mesh.documented.mtls.plaintext_refused_as)
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
                expect(seen).refused(mesh.documented.mtls.plaintext_refused_as)
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
        expect(await outsider.get(server)).refused(mesh.documented.mtls.plaintext_refused_as)
    expect(await outsider.get(server)).answered()
'''


RETRIES = '''
@check(MUST, "demo.rule")
async def test_retries(mesh, client, second_client, server):
    """Each caller goes by the policy of the block, and by none after it."""
    for attempts in (1, 0, 2):
        async with mesh.policy(Retry(server, attempts, frozenset({503}))):
            for caller in (client, second_client):
                answer = await caller.get(server, request_id=await server.answers(503, 503, 503))
                expect(await server.attempts(answer), f"{caller}, {attempts}").attempted(attempts + 1)
    answer = await client.get(server, request_id=await server.answers(503))
    expect(await server.attempts(answer)).attempted(1)
'''

THE_SAME = '''
@check(MUST, "demo.rule")
async def test_same(mesh, client, server):
    """What the next block wants as well stays as it is."""
    before = len(mesh.adapter.changes)
    for _ in range(3):
        async with mesh.policy(Retry(server, 1, frozenset({503}))):
            answer = await client.get(server, request_id=await server.answers(503))
            expect(await server.attempts(answer)).attempted(2)
    expect(len(mesh.adapter.changes) - before, "changes").equals(1)
'''

THE_SAME_AGAIN = '''
@check(MUST, "demo.rule")
async def test_again(mesh, client, server):
    """What the next check wants as well stays as it is."""
    before = len(mesh.adapter.changes)
    async with mesh.policy(Retry(server, 1, frozenset({503}))):
        answer = await client.get(server, request_id=await server.answers(503))
        expect(await server.attempts(answer)).attempted(2)
    expect(len(mesh.adapter.changes) - before, "changes").equals(0)
'''

DEPLOYED = '''
@check(MUST, "demo.rule")
async def test_deployed(mesh, client, outsider):
    """Policies about a service of the check's own act on every endpoint, and are gone with it."""
    async with mesh.deploy(WorkloadSpec("blue", "pool", calls=False), replicas=2) as pool:
        async with mesh.policy(MutualTls(pool.service, Mode.STRICT)):
            for endpoint in pool.endpoints:
                expect(await outsider.get(endpoint)).refused(mesh.documented.mtls.plaintext_refused_as)
        async with mesh.policy(Retry(pool.service, 1, frozenset({503}))):
            answer = await client.get(pool.service, request_id=await pool.answers(503, repeat=True))
            expect([len(seen) for seen in (await pool.attempts(answer)).values()]).equals([1, 1])
    expect(mesh.policies.applied.policies).equals([])
'''

WAITED_FOR = '''
@check(MUST, "demo.rule")
async def test_waited(mesh, client, server):
    """Every block applies, waits, deletes and waits, whatever is called in it."""
    before = len(mesh.adapter.changes)
    for _ in range(2):
        async with mesh.policy(Retry(server, 1, frozenset({503}))):
            expect(len(mesh.adapter.marks), "services with policies").equals(1)
        expect(len(mesh.adapter.marks), "services with policies").equals(0)
    expect(len(mesh.adapter.changes) - before, "changes").equals(4)
'''

LEAVES_BEHIND = '''
@check(MUST, "demo.rule")
async def test_leaves(mesh, client, server):
    """A policy is taken back in vain."""
    async with mesh.policy(Retry(server, 1, frozenset({503}))):
        expect(await client.get(server)).answered()
'''

MEETS = '''
@check(MUST, "demo.rule")
async def test_meets(mesh, client, server):
    """It would be judged by what was left behind."""
    expect(await client.get(server)).answered()
'''


IN_THE_WAY = '''
@check(MUST, "demo.rule")
async def test_way(mesh, client, server):
    """A policy under which nobody is served is taken back."""
    async with mesh.policy(Timeout(server, 5)):
        expect(await client.get(server)).answered(504)
'''

NEWCOMER = '''
@check(MUST, "demo.rule")
async def test_newcomer(mesh, server):
    """It does not meet somebody who starts after that."""
    newcomer = await mesh.workload("client_in_green")
    expect(await newcomer.get(server)).answered()
'''

EARLY = '''
@check(MUST, "demo.rule")
async def test_early(mesh, server):
    """It does not meet the first call of somebody who starts after that."""
    async with mesh.deploy(WorkloadSpec("blue", "early", first_call=FirstCall(server.spec))) as deployed:
        expect(await deployed.service.first_exchange()).answered()
'''

BESIDE = '''
@check(MUST, "demo.rule")
async def test_beside(mesh, client, server):
    """Somebody starts while nobody is served by another server."""
    async with mesh.policy(Timeout(server, 5)):
        expect(await client.get(server)).answered(504)
        newcomer = await mesh.workload("client_in_green")
        expect(await newcomer.get(client)).answered()
'''


def late(
    within: float = 20.0, apply: float = 0.3, delete: float = 0.3, *, cuts: bool = False, reconnects: float = 1.0
) -> str:
    """A mesh that acts so many seconds after it was told to."""
    return conftest(Delays(within, apply, delete, cuts, reconnects), ROOT)


@pytest.mark.parametrize("cache", ["on", "off"])
def test_policies_of_a_late_mesh_act_where_they_are_to(cache: str, suite: Suite) -> None:
    suite.write(STRICT, OPEN, ONE_AFTER_THE_OTHER, NESTED, conftest=late())
    run = suite.run(mesh="late", **{SWITCH: cache})
    assert run.has("4 passed")
    assert run.code == 0


def test_what_never_comes_to_act_is_the_meshs_fault(suite: Suite) -> None:
    suite.write(STRICT, conftest=late(within=0.5, apply=30.0))
    assert suite.run(mesh="late").code == 1
    assert suite.verdicts() == {"demo/strict": "violates"}


@pytest.mark.parametrize(("demo", "check"), [(STRICT, "demo/strict"), (RETRIES, "demo/retries")])
def test_what_comes_to_act_once_data_planes_have_reconnected_conforms(demo: str, check: str, suite: Suite) -> None:
    suite.write(demo, conftest=late(within=0.5, apply=1.5, reconnects=20.0))
    assert suite.run(mesh="late").code == 0
    assert suite.verdicts() == {check: "conforms"}


def test_what_acts_after_it_was_taken_back_says_nothing_of_other_checks(suite: Suite) -> None:
    suite.write(STRICT, OPEN, conftest=late(within=1.0, delete=30.0))
    assert suite.run(mesh="late").code == 1
    assert suite.verdicts() == {"demo/strict": "conforms", "demo/open": "inconclusive"}
    assert suite.results()["demo/open"]["reason"].startswith("a deleted policy is still in effect: grey/")


@pytest.mark.parametrize(("leaves", "meets"), [(STRICT, OPEN), (LEAVES_BEHIND, MEETS)])
def test_what_acts_on_says_nothing_of_any_later_check(leaves: str, meets: str, suite: Suite) -> None:
    again = meets.replace("test_", "test_again_")
    suite.write(leaves, meets, again, conftest=late(within=1.0, delete=60.0))
    suite.run(mesh="late")
    assert sorted(suite.verdicts().values()) == ["conforms", "inconclusive", "inconclusive"]


@pytest.mark.parametrize(("leaves", "meets"), [(STRICT, OPEN), (LEAVES_BEHIND, MEETS)])
def test_what_is_overdue_no_longer_hinders_once_it_is_gone(leaves: str, meets: str, suite: Suite) -> None:
    again = meets.replace("test_", "test_again_")
    suite.write(leaves, meets, again, conftest=late(within=1.0, delete=4.0))
    suite.run(mesh="late")
    assert sorted(suite.verdicts().values()) == ["conforms", "conforms", "inconclusive"]


@pytest.mark.parametrize("cache", ["on", "off"])
def test_each_caller_goes_by_the_policies_about_a_service(cache: str, suite: Suite) -> None:
    suite.write(RETRIES, conftest=late())
    assert suite.run(mesh="late", **{SWITCH: cache}).code == 0
    assert suite.verdicts() == {"demo/retries": "conforms"}


def test_a_policy_that_is_wanted_again_is_not_changed(suite: Suite) -> None:
    suite.write(THE_SAME, THE_SAME_AGAIN, conftest=late())
    assert suite.run(mesh="late").code == 0
    assert suite.verdicts() == {"demo/same": "conforms", "demo/again": "conforms"}


def test_without_the_cache_each_step_is_waited_for(suite: Suite) -> None:
    suite.write(WAITED_FOR, conftest=late())
    assert suite.run(mesh="late", **{SWITCH: "off"}).code == 0
    assert suite.verdicts() == {"demo/waited": "conforms"}


def test_policies_about_what_a_check_deployed_act_on_every_endpoint(suite: Suite) -> None:
    suite.write(DEPLOYED, conftest=late())
    assert suite.run(mesh="late").has("1 passed")
    assert suite.verdicts() == {"demo/deployed": "conforms"}


def test_what_acts_on_in_a_client_says_nothing_of_other_checks(suite: Suite) -> None:
    suite.write(LEAVES_BEHIND, MEETS, conftest=late(within=1.0, delete=30.0))
    assert suite.run(mesh="late").code == 1
    assert suite.verdicts() == {"demo/leaves": "conforms", "demo/meets": "inconclusive"}
    assert suite.results()["demo/meets"]["reason"].startswith("a deleted policy is still in effect: blue/")


@pytest.mark.parametrize(("newcomer", "name"), [(NEWCOMER, "newcomer"), (EARLY, "early")])
def test_what_was_taken_back_is_in_the_way_of_no_newcomer(suite: Suite, newcomer: str, name: str) -> None:
    suite.write(IN_THE_WAY, newcomer, conftest=late(within=5.0, delete=1.5, cuts=True))
    assert suite.run(mesh="late").code == 0
    assert suite.verdicts() == {"demo/way": "conforms", f"demo/{name}": "conforms"}


def test_a_policy_in_use_is_in_the_way_of_no_newcomer(suite: Suite) -> None:
    suite.write(BESIDE, conftest=late(within=1.0, cuts=True))
    assert suite.run(mesh="late").code == 0
    assert suite.verdicts() == {"demo/beside": "conforms"}
