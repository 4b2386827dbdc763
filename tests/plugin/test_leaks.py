"""What gets through although it must not is a violation, also where workloads are not reached when they start."""

from .conftest import Suite

BYPASSED = """
from dataclasses import replace
from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh

PROXY = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"

def bypass(workload, resources):
    for listener in resources["listeners"]:
        if listener["name"] == "inbound.http":
            proxy = {"@type": PROXY, "stat_prefix": "bypass", "cluster": listener["name"]}
            filters = [{"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}]
            listener["listener_filters"], listener["filter_chains"] = [], [{"filters": filters}]
    return resources

class Bypassed(EnvoyMesh):
    documented = replace(EnvoyMesh.documented, policies_act_within=0.5)

def bypassed(order):
    mesh = Bypassed(order.version, publish_hook=bypass)
    mesh.prepare()
    return mesh

def pytest_meshcheck_register_mesh(registry):
    registry.register("bypassed", bypassed)
"""
"""One port bypasses the sidecars; the control plane cannot tell when policies act."""

REFUSED = '''
@check(MUST, "demo.rule")
async def test_refused(mesh, client, server, outsider):
    """Strict mutual TLS serves members, and nobody else."""
    async with mesh.policy(MutualTls(server, Mode.STRICT)):
        control(await client.get(server)).answered()
        refused = await outsider.get(server{port})
        expect(refused).refused(mesh.documented.mtls.plaintext_refused_as)
        expect(await server.attempts(refused)).never_arrived()
'''

DEAD = '''
@check(MUST, "demo.rule")
async def test_refused(mesh, server, outsider):
    """Outsiders are refused, and a process of the run dies."""
    async def died():
        raise Inconclusive("blue/other has died")

    mesh.platform.ensure_alive = died
    expect(await outsider.get(server)).refused(mesh.documented.mtls.plaintext_refused_as)
'''

SERVED = '''
@check(MUST, "demo.rule")
async def test_served(mesh, client, server):
    """A member is served."""
    expect(await client.get(server, "tcp")).answered()
'''

OWN = """
@pytest.mark.asyncio(loop_scope="session")
async def test_own(mesh, mesh_client, mesh_server):
    pass
"""
UNREACHED = "blue/client does not reach blue/server on port http"


def test_a_leak_outranks_a_workload_that_is_not_reached(suite: Suite) -> None:
    suite.write(REFUSED.format(port=""), conftest=BYPASSED)
    assert suite.run(mesh="bypassed").code == 1
    assert suite.verdicts() == {"demo/refused": "violates"}


def test_a_leak_outranks_a_process_that_died(suite: Suite) -> None:
    suite.write(DEAD, conftest=BYPASSED)
    assert suite.run(mesh="bypassed").code == 1
    assert suite.verdicts() == {"demo/refused": "violates"}


def test_without_a_leak_it_is_said_who_is_not_reached(suite: Suite) -> None:
    suite.write(REFUSED.format(port=', "grpc"'), conftest=BYPASSED)
    assert suite.run(mesh="bypassed").code == 1
    assert suite.verdicts() == {"demo/refused": "inconclusive"}
    assert suite.results()["demo/refused"]["reason"].startswith(UNREACHED)


def test_a_check_that_asserts_no_refusal_ends_where_workloads_are_not_reached(suite: Suite) -> None:
    suite.write(SERVED, conftest=BYPASSED)
    assert suite.run(mesh="bypassed").code == 1
    assert suite.verdicts() == {"demo/served": "inconclusive"}
    assert suite.results()["demo/served"]["reason"].startswith(UNREACHED)


def test_own_tests_get_no_workload_that_is_not_reached(suite: Suite) -> None:
    suite.write(OWN, conftest=BYPASSED)
    run = suite.run(mesh="bypassed")
    assert run.has("1 error")
    assert run.has(UNREACHED)
