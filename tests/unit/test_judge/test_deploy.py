"""Workloads of a check's own on the embedded mesh: several endpoints behind one service, gone when the block ends."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from pytest_meshcheck.checks.expect import expect
from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.model.deployment import Deployment
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.observation import Ending
from pytest_meshcheck.model.policy import Mode, MutualTls, Retry
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Enrolment, Port, WorkloadSpec
from pytest_meshcheck.platforms.local.platform import Processes
from pytest_meshcheck.probe.protocol.messages import Body, Property, Protocol
from pytest_meshcheck.testbed.convergence.conditions import Condition, unmet
from pytest_meshcheck.testbed.early_calls import NotStarted
from pytest_meshcheck.testbed.mesh import MeshUnderTest

pytestmark = pytest.mark.asyncio

POOL = WorkloadSpec("blue", "pool", calls=False)
REPLICAS = 3


class PublishHook:
    """Spoils what is published to the ``spoilt`` sidecars; ``last`` is set at the second replica's first one."""

    def __init__(self) -> None:
        self.spoilt: set[str] = set()
        self.last = asyncio.Event()

    def __call__(self, workload: str, resources: dict[str, Any]) -> dict[str, Any] | None:
        if workload == "blue/pool.2":
            self.last.set()
        if workload not in self.spoilt:
            return None
        return resources | {"listeners": [{"name": "nonsense", "unheard_of": True}]}


@pytest.fixture
def hook() -> PublishHook:
    return PublishHook()


@pytest_asyncio.fixture
async def mesh(hook: PublishHook) -> AsyncIterator[MeshUnderTest]:
    platform = Processes(Journal())
    subject = MeshUnderTest(EnvoyMesh(publish_hook=hook), platform)
    await subject.adapter.install(platform)
    try:
        yield subject
    finally:
        await subject.close()


async def spread(client: Workload, pool: Deployment, requests: int = 3 * REPLICAS) -> dict[str, int]:
    """How many of so many requests to the service reached each endpoint."""
    found = dict.fromkeys((endpoint.instance for endpoint in pool.endpoints), 0)
    for _ in range(requests):
        exchange = await client.get(pool.service)
        assert exchange.status == 200, exchange
        for instance, attempts in (await pool.attempts(exchange)).items():
            found[instance] += len(attempts)
    return found


async def test_a_service_has_several_endpoints(mesh: MeshUnderTest) -> None:
    client = await mesh.workload("client")
    async with mesh.deploy(POOL, replicas=REPLICAS) as pool:
        found = await spread(client, pool)
        assert set(found) == {"blue/pool", "blue/pool.2", "blue/pool.3"}
        assert sum(found.values()) == 3 * REPLICAS
        assert min(found.values()) > 0
        assert {mesh.identity_of(endpoint) for endpoint in pool.endpoints} == {mesh.identity_of(pool.service)}


async def test_a_port_may_speak_what_no_workload_of_the_stage_does(mesh: MeshUnderTest) -> None:
    client = await mesh.workload("client")
    chat = WorkloadSpec("blue", "chat", ports=(Port("chat", Protocol.WEBSOCKET),), calls=False)
    async with mesh.deploy(chat, replicas=2) as pool, mesh.policy(MutualTls(pool.service, Mode.STRICT)):
        seen = [await client.get(pool.service, "chat", body=Body(text="hello")) for _ in range(4)]
        reached = [instance for one in seen for instance, found in (await pool.attempts(one)).items() if found]
    for one in seen:
        expect(one).answered()
    assert {one.body_start for one in seen} == {"hello"}
    assert (len(reached), set(reached)) == (4, {"blue/chat", "blue/chat.2"})


async def test_a_stranger_joins_a_service_and_gets_nothing(mesh: MeshUnderTest) -> None:
    client, outsider = await mesh.workload("client"), await mesh.workload("outsider")
    async with mesh.deploy(POOL) as pool:
        async with mesh.stranger(pool.service) as stranger:
            assert str(stranger) == "blue/pool.2"
            expect(await outsider.get(stranger)).answered()
            seen = [await client.get(pool.service) for _ in range(6)]
            assert {one.status for one in seen} == {200, 503}
            assert [found for one in seen for found in await stranger.attempts(one)] == []
        assert await spread(client, pool, 2) == {"blue/pool": 2}


async def test_a_workload_that_ends_goes_on_sending_and_is_called_no_more(mesh: MeshUnderTest) -> None:
    client, server = await mesh.workload("client"), await mesh.workload("server")
    async with mesh.deploy(WorkloadSpec("blue", "pool"), replicas=2) as pool, mesh.termination(pool.endpoints[1]):
        assert await spread(client, pool, 6) == {"blue/pool": 6, "blue/pool.2": 0}
        for port in ("http", "grpc", "tcp"):
            expect(await pool.endpoints[1].get(server, port)).answered()
    async with mesh.deploy(POOL, replicas=2) as pool:
        assert min((await spread(client, pool)).values()) > 0


async def test_a_sidecar_ends_with_the_application_of_its_job(mesh: MeshUnderTest) -> None:
    client, job = await mesh.workload("client"), WorkloadSpec("blue", "job", job=True)
    for _ in range(2):
        async with mesh.deploy(job) as deployed:
            expect(await client.get(deployed.service)).answered()
            assert await mesh.finish(deployed.service) == ""
            await mesh.platform.ensure_alive()
            assert not [one for one in mesh.platform.processes.children if one.name.endswith("blue/job")]  # type: ignore[attr-defined]
    assert "job ended after (s)" in mesh.measured


async def test_a_workload_outside_the_mesh_is_called_no_more_once_it_ends(mesh: MeshUnderTest) -> None:
    client = await mesh.workload("client")
    spec = WorkloadSpec("blue", "pool", enrolment=Enrolment.UNENROLLED, calls=False)
    async with mesh.deploy(spec, replicas=2) as pool, mesh.termination(pool.endpoints[1]):
        assert await spread(client, pool, 6) == {"blue/pool": 6, "blue/pool.2": 0}


async def test_calls_begin_before_a_workload_has_started(mesh: MeshUnderTest) -> None:
    client, outsider = await mesh.workload("client"), await mesh.workload("outsider")
    async with mesh.deploy_called(POOL, outsider, 100.0) as (late, load):
        expect(await client.get(late)).answered()
        served = await outsider.get(late)
        while not await late.attempts_of(load):
            assert (await outsider.get(late)).status == 200
    assert served.status == 200
    assert load.result.reached > 0
    first = load.result.slices[0]
    assert first.failed > 0, "the workload did not serve at once"


async def test_calls_to_a_workload_that_does_not_start_are_ended(mesh: MeshUnderTest, hook: PublishHook) -> None:
    outsider = await mesh.workload("outsider")
    hook.spoilt.add("blue/pool")
    with pytest.raises(NotStarted, match="blue/pool") as failed:
        async with mesh.deploy_called(POOL, outsider, 100.0):
            pytest.fail("it has started")
    assert failed.value.calls is not None
    assert failed.value.calls.sent == len(failed.value.calls.failed)
    assert [entry.subject for entry in mesh.journal.entries if entry.kind == "load"]


async def test_one_is_the_least(mesh: MeshUnderTest) -> None:
    client = await mesh.workload("client")
    async with mesh.deploy(POOL) as pool:
        assert await spread(client, pool, 2) == {"blue/pool": 2}


async def test_a_policy_holds_for_every_endpoint(mesh: MeshUnderTest) -> None:
    outsider = await mesh.workload("outsider")
    async with mesh.deploy(POOL, replicas=2) as pool, mesh.policy(MutualTls(pool.service, Mode.STRICT)):
        refused = [await outsider.get(endpoint) for endpoint in pool.endpoints]
        assert not [exchange for exchange in refused if exchange.ending is Ending.ANSWERED]
        client = await mesh.workload("client")
        assert min((await spread(client, pool, 6)).values()) > 0


async def test_a_retry_can_reach_another_endpoint(mesh: MeshUnderTest) -> None:
    client = await mesh.workload("client")
    async with mesh.deploy(POOL, replicas=2) as pool, mesh.policy(Retry(pool.service, 1, frozenset({503}))):
        request_id = await pool.answers(503, repeat=True)
        exchange = await client.get(pool.service, request_id=request_id)
        assert exchange.status == 503
        assert [len(attempts) for attempts in (await pool.attempts(exchange)).values()] == [1, 1]


def left(mesh: MeshUnderTest) -> list[str]:
    """What there still is of the pool."""
    platform = mesh.platform
    assert isinstance(platform, Processes)
    processes = [child.name for child in platform.processes.children]
    directories = [path.name for path in platform.directory.iterdir() if path.is_dir()]
    known = [str(one) for one in mesh.stage.running]
    return [name for name in (*platform.members, *processes, *directories, *known) if "pool" in name]


async def test_an_error_leaves_nothing(mesh: MeshUnderTest) -> None:
    async def check() -> None:
        async with mesh.deploy(POOL, replicas=2):
            assert left(mesh)
            raise RuntimeError("of the check")

    with pytest.raises(RuntimeError, match="of the check"):
        await check()
    assert left(mesh) == []
    async with mesh.deploy(POOL):  # and the name is free again
        pass


async def test_a_cancelled_block_leaves_nothing(mesh: MeshUnderTest) -> None:
    inside = asyncio.Event()

    async def check() -> None:
        async with mesh.deploy(POOL, replicas=2):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(check())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left(mesh) == []


async def test_a_start_that_is_cancelled_leaves_nothing(mesh: MeshUnderTest, hook: PublishHook) -> None:
    async def check() -> None:
        async with mesh.deploy(POOL, replicas=2):
            raise AssertionError("it was to be cancelled before")

    task = asyncio.create_task(check())
    await hook.last.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left(mesh) == []


async def test_an_endpoint_that_does_not_start_leaves_nothing_of_the_others(
    mesh: MeshUnderTest, hook: PublishHook
) -> None:
    hook.spoilt.add("blue/pool.2")
    with pytest.raises(Inconclusive, match=r"sidecar of blue/pool\.2"):
        async with mesh.deploy(POOL, replicas=2):
            raise AssertionError("it cannot start")
    assert left(mesh) == []


@pytest.mark.parametrize(
    ("spec", "replicas", "said"),
    [
        (WorkloadSpec("blue", "server"), 1, "a workload blue/server already"),
        (POOL, 0, "cannot have 0 replicas: the least is 1"),
    ],
)
async def test_what_cannot_be_is_refused(mesh: MeshUnderTest, spec: WorkloadSpec, replicas: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        async with mesh.deploy(spec, replicas=replicas):
            raise AssertionError("it was to be refused")
    assert mesh.stage.running == []


async def test_a_name_that_is_deployed_is_taken(mesh: MeshUnderTest) -> None:
    async with mesh.deploy(POOL):
        with pytest.raises(ValueError, match="a workload blue/pool already"):
            async with mesh.deploy(POOL, replicas=2):
                raise AssertionError("it was to be refused")
        assert len(mesh.stage.running) == 1


async def test_several_services_start_and_stop_together(mesh: MeshUnderTest) -> None:
    async with mesh.deploy_together(WorkloadSpec("blue", "near"), WorkloadSpec("green", "near")) as (caller, called):
        assert (await caller.get(called)).served
    assert mesh.stage.running == []


async def test_workloads_that_start_together_have_names_of_their_own(mesh: MeshUnderTest) -> None:
    with pytest.raises(ValueError, match="need names of their own, not blue/pool, blue/pool"):
        async with mesh.deploy_together(POOL, POOL):
            raise AssertionError("it was to be refused")
    assert mesh.stage.running == []


@pytest.mark.parametrize("role", ["caller", "server"])
async def test_a_workload_that_is_polled_ends_after_the_poll(mesh: MeshUnderTest, role: str) -> None:
    other = await mesh.workload("second_client")
    async with mesh.deploy(WorkloadSpec("blue", "polled")) as deployed:
        pair = (deployed.service, other) if role == "caller" else (other, deployed.service)
        never = Condition(*pair, "http", Property.SERVED, expected=False)
        polling = asyncio.create_task(unmet([never], 0.5, 1.0))
        await asyncio.sleep(0)  # it has begun
    assert await polling == [never]
    assert await unmet([never], 0.5, 1.0) == []


async def test_conditions_have_to_hold_at_one_time(mesh: MeshUnderTest) -> None:
    client, server = await mesh.workload("client"), await mesh.workload("server")
    refused = Condition(client, server, "http", Property.SERVED, expected=False)
    served = Condition(client, server, "grpc", Property.SERVED, expected=True)
    await asyncio.gather(server.closes("http", 0.5), server.closes("grpc", 1.0))
    assert await unmet([refused, served], 2.0, 1.0) == [refused]


async def test_only_those_that_were_met_before_another_one_was_are_polled_again(
    mesh: MeshUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, server = await mesh.workload("client"), await mesh.workload("server")
    early, late = (Condition(client, server, port, Property.SERVED, expected=True) for port in ("http", "grpc"))
    ask, asked = client.ask, []

    async def recorded(command: Any, reply: Any) -> Any:
        asked.append(len(command.polls))
        return await ask(command, reply)

    monkeypatch.setattr(client, "ask", recorded)
    await server.closes("grpc", 2.0)
    assert await unmet([early, late], 20.0, 1.0) == []
    assert asked == [2, 1]
