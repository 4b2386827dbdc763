"""The embedded mesh with real sidecars: policies, certificates, and what it says when something is wrong."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pytest_meshcheck.meshes.base import Rotation
from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.meshes.envoy.process.hot_restart import SCALE
from pytest_meshcheck.meshes.envoy.process.sidecar import Sidecar
from pytest_meshcheck.meshes.envoy.xds.resources import TYPES
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.observation import Ending
from pytest_meshcheck.model.pki import parsed_chain
from pytest_meshcheck.model.policy import Mode, MutualTls, Policy, Retry, Timeout
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Enrolment, Port, WorkloadSpec
from pytest_meshcheck.platforms.children import Child
from pytest_meshcheck.platforms.local.platform import Processes
from pytest_meshcheck.probe.protocol.messages import (
    Answer,
    AttemptEnding,
    Behaviour,
    Body,
    ClientTls,
    Protocol,
    ServerTls,
)

CLIENT = WorkloadSpec("blue", "client")
SERVER = WorkloadSpec("blue", "server")
OUTSIDER = WorkloadSpec("grey", "outsider", Enrolment.UNENROLLED)
IMPOSTOR = WorkloadSpec("blue", "impostor", Enrolment.IMPERSONATED)


class Rig:
    """A platform with the mesh on it, and a hook that can be set."""

    def __init__(self, *, hot_restart: bool = False) -> None:
        self.spoil: Mapping[str, Any] = {}
        self.platform = Processes(Journal())
        self.mesh = EnvoyMesh(publish_hook=self.hook, hot_restart=hot_restart)

    def hook(self, workload: str, resources: dict[str, Any]) -> dict[str, Any] | None:
        spoilt = self.spoil.get(workload)
        return spoilt(resources) if spoilt else None

    async def start(self, *specs: WorkloadSpec) -> list[Workload]:
        starts = (self.platform.start(spec, self.mesh.enrolment(spec)) for spec in specs)
        return list(await asyncio.gather(*starts))

    async def apply(self, policy: Policy) -> None:
        await self.platform.apply(self.mesh.render([policy]))
        await self.mesh.settled()


@asynccontextmanager
async def running(*, hot_restart: bool = False) -> AsyncIterator[Rig]:
    rig = Rig(hot_restart=hot_restart)
    try:
        await rig.mesh.install(rig.platform)
        yield rig
    finally:
        await rig.mesh.uninstall()
        await rig.platform.close()


def shared_memory(rig: Rig) -> list[Path]:
    """What the Envoys of a mesh leave to those who succeed them; other meshes on this machine have theirs."""
    commands = [
        Path(f"/proc/{child.process.pid}/cmdline").read_bytes().split(b"\0")
        for child in rig.platform.processes.children
    ]
    bases = {int(one[one.index(b"--base-id") + 1]) for one in commands if b"--base-id" in one}
    return [Path(f"/dev/shm/envoy_shared_memory_{base * SCALE}") for base in bases]


@pytest_asyncio.fixture
async def rig() -> AsyncIterator[Rig]:
    async with running() as one:
        yield one


def texts(directory: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in directory.iterdir()}


async def shown(rig: Rig, caller: Workload, server: Workload) -> Any:
    """The certificate that a new handshake is shown."""
    endpoint = rig.mesh.endpoint(server, "http")
    credentials = rig.mesh.authority.issue(rig.mesh.identity_of(caller.spec), 600)
    tls = ClientTls(credentials=credentials, server_name=endpoint.server_name, alpn=endpoint.alpn)
    exchange = await caller.handshake(endpoint.address, tls)
    assert exchange.tls is not None, exchange
    return parsed_chain(exchange.tls.chain)[0]


@pytest.mark.asyncio
@pytest.mark.parametrize("port", ["http", "http-alt", "grpc", "tcp", "tcp-banner"])
async def test_every_protocol_passes_two_sidecars_under_strict(rig: Rig, port: str) -> None:
    client, server = await rig.start(CLIENT, SERVER)
    await rig.apply(MutualTls(server, Mode.STRICT))
    exchange = await client.get(server, port)
    assert exchange.ending is Ending.ANSWERED, exchange
    assert len(await server.attempts(exchange)) == 1


CHAT = WorkloadSpec("blue", "chat", ports=(Port("chat", Protocol.WEBSOCKET),), calls=False)


@pytest.mark.asyncio
async def test_websockets_pass_two_sidecars_under_strict_and_nobody_else_does(rig: Rig) -> None:
    client, chat, outsider = await rig.start(CLIENT, CHAT, OUTSIDER)
    await rig.apply(MutualTls(chat, Mode.STRICT))
    async with rig.platform.wire(client, chat, "chat") as wire:
        seen = await client.get(chat, "chat", messages=3, body=Body(text="sesame"))
        captured = await wire.look_for("sesame", "websocket")
    assert (seen.served, seen.body_start, seen.messages) == (True, 3 * "sesame", 3), seen
    (attempt,) = await chat.attempts(seen)
    assert (attempt.ending, attempt.body_length) == (AttemptEnding.ANSWERED, seen.body_length)
    assert rig.mesh.peer_identity(attempt) == rig.mesh.identity_of(CLIENT)
    assert (captured.found, captured.connections) == ((), 1)
    refused = await outsider.get(chat, "chat")
    assert refused.ending in rig.mesh.documented.mtls.plaintext_refused_as, refused
    assert await chat.attempts(refused) == ()


@pytest.mark.asyncio
async def test_a_websocket_stays_open_while_policies_change(rig: Rig) -> None:
    client, chat = await rig.start(CLIENT, CHAT)
    async with client.stream(chat, "chat") as stream:
        for policy in (MutualTls(chat, Mode.STRICT), Timeout(chat, 0.1), Retry(chat, 1, frozenset({503}))):
            await rig.apply(policy)
            assert (await stream.echo()).ending is Ending.ANSWERED, policy


def without_upgrades(resources: dict[str, Any]) -> dict[str, Any]:
    for listener in resources["listeners"]:
        for chain in listener["filter_chains"]:
            chain["filters"][-1]["typed_config"].pop("upgrade_configs", None)
    return resources


@pytest.mark.asyncio
async def test_a_sidecar_that_passes_no_upgrades_refuses_websockets(rig: Rig) -> None:
    client, chat = await rig.start(CLIENT, CHAT)
    rig.spoil = {"blue/chat": without_upgrades}
    rig.mesh.publish(force=True)
    await rig.mesh.settled()
    refused = await client.get(chat, "chat")
    assert (refused.ending, refused.status, refused.served) == (Ending.ANSWERED, 403, False)
    assert await chat.attempts(refused) == ()


@pytest.mark.asyncio
async def test_the_server_is_told_who_calls_and_a_forged_claim_is_replaced(rig: Rig) -> None:
    client, server, outsider = await rig.start(CLIENT, SERVER, OUTSIDER)
    forged = (("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/blue/sa/admin"),)
    (attempt,) = await server.attempts(await client.get(server, headers=forged))
    assert rig.mesh.peer_identity(attempt) == rig.mesh.identity_of(CLIENT)
    (attempt,) = await server.attempts(await outsider.get(server, headers=forged))
    assert rig.mesh.peer_identity(attempt) is None


@pytest.mark.asyncio
async def test_modes_are_switched_back_and_forth_for_new_connections(rig: Rig) -> None:
    server, outsider = await rig.start(SERVER, OUTSIDER)
    for _ in range(5):
        await rig.apply(MutualTls(server, Mode.STRICT))
        refused = await outsider.get(server)
        assert refused.ending in rig.mesh.documented.mtls.plaintext_refused_as, refused
        assert await server.attempts(refused) == ()
        await rig.apply(MutualTls(server, Mode.PERMISSIVE))
        assert (await outsider.get(server)).status == 200


@pytest.mark.asyncio
async def test_deleting_a_policy_undoes_it(rig: Rig) -> None:
    client, server = await rig.start(CLIENT, SERVER)
    policy = Retry(SERVER, 1, frozenset({503}))
    await rig.apply(policy)
    retried = await client.get(server, request_id=await server.answers(503))
    await rig.platform.delete(rig.mesh.render([policy]))
    await rig.mesh.settled()
    once = await client.get(server, request_id=await server.answers(503))
    assert (retried.status, once.status) == (200, 503)


@pytest.mark.asyncio
@pytest.mark.parametrize(("port", "http", "grpc"), [("http", 504, None), ("grpc", None, 4)])
async def test_a_timeout_is_reported_in_the_callers_protocol(
    rig: Rig, port: str, http: int | None, grpc: int | None
) -> None:
    client, server = await rig.start(CLIENT, SERVER)
    await rig.apply(Timeout(server, 0.1))
    stalled = await client.get(server, port, request_id=await server.answers(Answer(behaviour=Behaviour.STALL)))
    if http is not None:
        assert stalled.status == http
    assert stalled.grpc_status == grpc


UPLOAD: dict[str, Any] = {"method": "POST", "body": Body(length=10), "pause_after": 5}


@pytest.mark.asyncio
async def test_the_second_part_of_a_request_follows_what_is_waited_for(rig: Rig) -> None:
    client, server = await rig.start(CLIENT, SERVER)
    request_id = await server.answers(200)
    answer = await client.in_two_parts(server, server.wait_for_attempts(request_id), request_id=request_id, **UPLOAD)
    assert answer.status == 200
    assert [attempt.body_length for attempt in await server.attempts(request_id)] == [10]


@pytest.mark.asyncio
async def test_a_request_that_ends_at_its_pause_waits_for_nothing(rig: Rig) -> None:
    client, server = await rig.start(CLIENT, SERVER)
    request_id = await server.answers(Answer(status=413, after=5))
    never = asyncio.get_running_loop().create_future()
    answer = await client.in_two_parts(server, never, request_id=request_id, **UPLOAD)
    assert answer.status == 413
    assert never.cancelled()


@pytest.mark.asyncio
async def test_what_cannot_be_waited_for_ends_a_request_in_two_parts(rig: Rig) -> None:
    client, server = await rig.start(CLIENT, SERVER)
    broken = asyncio.get_running_loop().create_future()
    broken.set_exception(Inconclusive("the ledger is gone"))
    with pytest.raises(Inconclusive, match="the ledger is gone"):
        await client.in_two_parts(server, broken, request_id=await server.answers(200), **UPLOAD)


@pytest.mark.asyncio
async def test_an_impostor_is_not_talked_to(rig: Rig) -> None:
    client, impostor = await rig.start(CLIENT, IMPOSTOR)
    true = rig.mesh.authority.issue(rig.mesh.identity_of(IMPOSTOR), 600)
    false = rig.mesh.authority.issue(rig.mesh.identity_of(CLIENT), 600)
    await rig.platform.serve(impostor, "http", ServerTls(credentials=true))
    await rig.platform.serve(impostor, "http-alt", ServerTls(credentials=false))
    assert (await client.get(impostor, "http")).status == 200
    assert (await client.get(impostor, "http-alt")).status in rig.mesh.documented.mtls.upstream_refused_statuses


@pytest.mark.asyncio
async def test_a_recording_between_sidecars_finds_nothing_but_tls(rig: Rig) -> None:
    client, server = await rig.start(CLIENT, SERVER)
    canary = (("x-canary", "sesame"),)
    assert (await client.get(server)).status == 200
    async with rig.platform.wire(client, server, "http") as wire:
        await rig.mesh.settled()
        assert (await client.get(server, headers=canary)).status == 200
        captured = await wire.look_for("sesame")
    await rig.mesh.settled()
    assert (captured.found, captured.connections) == ((), 1)
    assert (await client.get(server)).status == 200


@pytest.mark.asyncio
async def test_leaves_are_renewed_in_time_without_a_restart(rig: Rig) -> None:
    short = WorkloadSpec("blue", "short", leaf_lifetime=rig.mesh.documented.rotation.leaf_lifetime)
    server, outsider = await rig.start(short, OUTSIDER)
    child = rig.mesh._planes["blue/short"].sidecar.child
    first = await shown(rig, outsider, server)
    publications = asyncio.Semaphore(0)

    def note(_resources: dict[str, Any]) -> None:
        publications.release()

    rig.spoil = {"blue/short": note}
    for _ in range(2):
        await asyncio.wait_for(publications.acquire(), 20.0)
    await rig.mesh.settled()
    later = await shown(rig, outsider, server)
    assert later.not_valid_after_utc > first.not_valid_after_utc
    assert later.serial_number != first.serial_number
    assert rig.mesh._planes["blue/short"].sidecar.child is child


@pytest.mark.asyncio
async def test_a_change_of_root_never_breaks_a_connection(rig: Rig) -> None:
    client, server = await rig.start(CLIENT, SERVER)
    await rig.apply(MutualTls(server, Mode.STRICT))
    before = await shown(rig, client, server)
    old = rig.mesh.authority.issue(rig.mesh.identity_of(CLIENT), 600)
    for step in (Rotation.LEAF, Rotation.ISSUER, Rotation.ROOT_ADD, Rotation.ROOT_SWITCH, Rotation.ROOT_DROP):
        await rig.mesh.rotate(step)
        await rig.mesh.settled()
        assert (await client.get(server)).status == 200, step
    assert (await shown(rig, client, server)).issuer != before.issuer
    refused = await client.handshake(rig.mesh.endpoint(server, "http").address, ClientTls(credentials=old))
    assert refused.ending in rig.mesh.documented.mtls.peer_refused_as, refused


@pytest.mark.asyncio
async def test_what_fell_due_during_an_outage_is_issued_after_it(rig: Rig) -> None:
    server, outsider = await rig.start(SERVER, OUTSIDER)
    before = await shown(rig, outsider, server)
    published = asyncio.Event()
    async with rig.mesh.authority_outage():
        await rig.mesh.rotate(Rotation.LEAF)
        await rig.mesh.settled()
        assert (await shown(rig, outsider, server)).serial_number == before.serial_number
        rig.spoil = {"blue/server": lambda _resources: published.set()}
    await asyncio.wait_for(published.wait(), 20.0)
    await rig.mesh.settled()
    assert (await shown(rig, outsider, server)).serial_number != before.serial_number


@pytest.mark.asyncio
async def test_an_outage_begins_once_the_newest_certificates_are_in_use(rig: Rig) -> None:
    server, outsider = await rig.start(SERVER, OUTSIDER)
    before = await shown(rig, outsider, server)
    child = rig.mesh._planes["blue/server"].sidecar.child
    assert child is not None
    child.process.send_signal(signal.SIGSTOP)
    await rig.mesh.rotate(Rotation.LEAF)
    async with AsyncExitStack() as outage:
        begins = asyncio.create_task(outage.enter_async_context(rig.mesh.authority_outage()))
        done, _ = await asyncio.wait({begins}, timeout=0.3)
        child.process.send_signal(signal.SIGCONT)
        assert not done
        await begins
        assert (await shown(rig, outsider, server)).serial_number != before.serial_number


@pytest.mark.asyncio
async def test_an_outage_of_the_control_plane_is_survived_and_made_up_for(rig: Rig) -> None:
    client, server, outsider = await rig.start(CLIENT, SERVER, OUTSIDER)
    async with rig.mesh.control_plane_outage():
        assert (await client.get(server)).status == 200
        await rig.platform.apply(rig.mesh.render([MutualTls(SERVER, Mode.STRICT)]))
        with pytest.raises(Inconclusive, match="the control plane is out of service"):
            await rig.mesh.settled()
        assert (await outsider.get(server)).status == 200
    assert (await outsider.get(server)).ending in rig.mesh.documented.mtls.plaintext_refused_as
    assert (await client.get(server)).status == 200


@pytest.mark.asyncio
async def test_no_workload_starts_while_the_control_plane_is_away(rig: Rig) -> None:
    async with rig.mesh.control_plane_outage():
        with pytest.raises(Inconclusive, match="the control plane is out of service"):
            await rig.start(SERVER)
    (server,) = await rig.start(SERVER)
    assert (await server.get(server)).status == 200


@pytest.mark.asyncio
async def test_a_killed_data_plane_comes_back(rig: Rig) -> None:
    client, server, outsider = await rig.start(CLIENT, SERVER, OUTSIDER)
    await rig.apply(MutualTls(server, Mode.STRICT))
    child = rig.mesh._planes["blue/server"].sidecar.child
    await rig.mesh.restart_data_plane(server)
    assert rig.mesh._planes["blue/server"].sidecar.child is not child
    rig.platform.check()
    assert (await client.get(server)).status == 200
    assert (await outsider.get(server)).ending in rig.mesh.documented.mtls.plaintext_refused_as


@pytest.mark.asyncio
async def test_a_replaceable_data_plane_hands_over_and_leaves_nothing() -> None:
    async with running() as one:
        replaceable = WorkloadSpec("blue", "replaceable", replaceable=True)
        client, server = await one.start(CLIENT, replaceable)
        with pytest.raises(Inconclusive, match="runs without hot restart"):
            async with one.mesh.data_plane_replacement(client):
                pass
        async with AsyncExitStack() as until_drained, client.load(server, 20) as load:
            await server.wait_for_attempts(f"{load.request_id}-5")
            await until_drained.enter_async_context(one.mesh.data_plane_replacement(server))
            arrived = len(await server.attempts_of(load))
            await server.wait_for_attempts(f"{load.request_id}-{arrived + 5}")
        assert load.result.served_once
        one.platform.check()
        assert (await client.get(server)).status == 200
        memory = shared_memory(one)
        assert [path.exists() for path in memory] == [True]
    assert not [path for path in memory if path.exists()]


def unbindable(resources: dict[str, Any]) -> dict[str, Any]:
    resources["listeners"][0]["address"]["socket_address"]["address"] = "192.0.2.1"
    return resources


def unknown_field(resources: dict[str, Any]) -> dict[str, Any]:
    resources["clusters"][0]["no_such_field"] = 1
    return resources


def not_a_certificate(resources: dict[str, Any]) -> dict[str, Any]:
    resources["secrets"][0]["tls_certificate"]["certificate_chain"]["inline_string"] = "rubbish"
    return resources


def bad_duration(resources: dict[str, Any]) -> dict[str, Any]:
    resources["routes"][0]["virtual_hosts"][0]["routes"][0]["route"]["timeout"] = "soon"
    return resources


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("spoil", "subject", "reason"),
    [
        (unbindable, "listeners", "192.0.2.1"),
        (unknown_field, "clusters", "no_such_field"),
        (not_a_certificate, "secrets identity", "certificate"),
        (bad_duration, "routes outbound", "Duration"),
    ],
)
async def test_a_rejected_configuration_is_named_with_envoys_reason(
    rig: Rig, spoil: Any, subject: str, reason: str
) -> None:
    await rig.start(SERVER)
    rig.spoil = {"blue/server": spoil}
    rig.mesh.publish(force=True)
    with pytest.raises(Inconclusive, match=rf"(?s)sidecar of blue/server rejects {subject}.*{reason}"):
        await rig.mesh.settled()
    rig.spoil = {}
    rig.mesh.publish(force=True)
    await rig.mesh.settled()


@pytest.mark.asyncio
@pytest.mark.parametrize("rubbish", [[], {"listeners": []}, dict.fromkeys(TYPES, 1)])
async def test_a_hook_that_returns_no_resources_is_named(rig: Rig, rubbish: Any) -> None:
    await rig.start(SERVER)
    rig.spoil = {"blue/server": lambda _resources: rubbish}
    with pytest.raises(Inconclusive, match="blue/server"):
        rig.mesh.publish(force=True)


@pytest.mark.asyncio
async def test_a_killed_sidecar_is_named_with_its_log(rig: Rig) -> None:
    await rig.start(SERVER)
    child = rig.mesh._planes["blue/server"].sidecar.child
    assert child is not None
    os.kill(child.process.pid, signal.SIGSEGV)
    await child.process.wait()
    with pytest.raises(
        Inconclusive,
        match=r"(?s)sidecar of blue/server died \(signal SIG\w+\); its log says: .*\[critical\].*Caught Segm",
    ):
        await rig.mesh.settled()


@pytest.mark.asyncio
async def test_a_stopped_workload_leaves_no_trace_in_the_others(rig: Rig) -> None:
    client, server = await rig.start(CLIENT, SERVER)
    request = client.request(server)
    await rig.platform.stop(server.spec)
    await rig.mesh.settled()
    gone = await client.handshake(request.address, ClientTls())
    # Envoy acknowledges a removal before its worker has closed the port: one that comes in between is reset
    assert gone.ending in (Ending.CONNECT_REFUSED, Ending.RESET)
    (again,) = await rig.start(SERVER)
    assert (await client.get(again)).status == 200


@pytest.mark.asyncio
async def test_a_restart_ends_when_the_new_sidecar_has_its_configuration(rig: Rig) -> None:
    outsider, server = await rig.start(OUTSIDER, SERVER)
    for _ in range(3):
        await rig.mesh.restart_data_plane(server)
        assert (await outsider.get(server)).status == 200


@pytest.mark.asyncio
async def test_a_sidecar_may_open_its_stream_before_its_start_is_noticed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawn = rig.platform.spawn

    async def noticed_late(name: str, *args: Any, **how: Any) -> Child:
        child = await spawn(name, *args, **how)
        subscriber = rig.mesh._planes[name.removeprefix("sidecar of ")].sidecar.subscriber
        while not subscriber.streams:
            await subscriber.progress.wait()
        return child

    monkeypatch.setattr(rig.platform, "spawn", noticed_late)
    client, server = await rig.start(CLIENT, SERVER)
    assert (await client.get(server)).status == 200


@pytest.mark.asyncio
async def test_an_upgrade_keeps_workloads_and_policies(rig: Rig) -> None:
    client, server, outsider = await rig.start(CLIENT, SERVER, OUTSIDER)
    await rig.apply(MutualTls(server, Mode.STRICT))
    await rig.mesh.upgrade(rig.mesh.version)
    async with rig.mesh.data_plane_upgrade([client, server]):
        pass
    assert (await client.get(server)).status == 200
    assert (await outsider.get(server)).ending in rig.mesh.documented.mtls.plaintext_refused_as


@pytest.mark.asyncio
async def test_an_upgrade_by_hot_restart_loses_nothing_twice_and_leaves_nothing() -> None:
    async with running(hot_restart=True) as hot:
        client, server = await hot.start(CLIENT, SERVER)
        for _ in range(2):
            async with client.load(server, 20) as load:
                await server.wait_for_attempts(f"{load.request_id}-5")
                await hot.mesh.upgrade(hot.mesh.version)
                async with hot.mesh.data_plane_upgrade([client, server]):
                    pass
                await hot.apply(MutualTls(SERVER, Mode.STRICT))
            assert load.result.served_once
            assert load.result.sent > 20
        hot.platform.check()
        memory = shared_memory(hot)
        assert [path.exists() for path in memory] == [True, True]
    assert not [path for path in memory if path.exists()]


@pytest.mark.asyncio
async def test_a_replaced_sidecar_that_dies_early_is_no_loss_but_its_successor_is() -> None:
    async with running(hot_restart=True) as hot:
        (server,) = await hot.start(SERVER)
        await hot.mesh.upgrade(hot.mesh.version)
        async with hot.mesh.data_plane_upgrade([server]):
            pass
        hot.platform.check()
        (sidecar,) = [child for child in hot.platform.processes.children if child.name == f"sidecar of {SERVER}"]
        sidecar.process.kill()
        await sidecar.process.wait()
        with pytest.raises(Inconclusive, match="sidecar of blue/server died"):
            hot.platform.check()


@pytest.mark.asyncio
async def test_a_sidecar_that_was_upgraded_can_be_restarted() -> None:
    async with running(hot_restart=True) as hot:
        outsider, server = await hot.start(OUTSIDER, SERVER)
        async with hot.mesh.data_plane_upgrade([server]):
            pass
        await hot.mesh.restart_data_plane(server)
        assert (await outsider.get(server)).status == 200


@pytest.mark.asyncio
async def test_a_diagnosis_holds_no_key(rig: Rig, tmp_path: Path) -> None:
    await rig.start(SERVER)
    await rig.mesh.diagnose(tmp_path)
    files = texts(tmp_path)
    assert set(files) == {f"blue.server.{name}" for name in ("config.json", "stats.txt", "certificates.json")}
    assert "inbound.http" in files["blue.server.config.json"]
    assert not any("PRIVATE KEY" in text for text in files.values())


@pytest.mark.asyncio
async def test_nobody_waits_for_a_sidecar_that_is_dismissed(tmp_path: Path) -> None:
    sidecar = Sidecar("blue/brief", tmp_path / "brief", tmp_path / "admin")
    waiting = asyncio.create_task(sidecar.settled(60))
    await asyncio.sleep(0)
    assert not waiting.done()
    sidecar.dismiss()
    await asyncio.wait_for(waiting, 30)
