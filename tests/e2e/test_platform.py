"""Workloads on a real cluster: reached, captured, killed, and cut off for a while."""

import asyncio
import statistics
import subprocess
import time
from dataclasses import replace
from functools import partial
from operator import eq

import pytest
import pytest_asyncio

from pytest_meshcheck.checks.expect import converge
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Enrolment, FirstCall, Via, WorkloadSpec
from pytest_meshcheck.platforms.base import Metadata
from pytest_meshcheck.platforms.kubernetes.api.forward import NoAnswer, fetch
from pytest_meshcheck.platforms.kubernetes.platform import Kubernetes
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import CONTAINER, PYTHON, WORKLOAD
from pytest_meshcheck.platforms.kubernetes.workloads.ports import port_number
from pytest_meshcheck.probe.protocol import messages as m

from .conftest import Given

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOTICED_WITHIN = 20.0
REJECTING = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: meshcheck-{run}}}
spec:
  matchConstraints:
    objectSelector: {{matchLabels: {{meshcheck.dev/run: {run}}}}}
    resourceRules:
    - {{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}}
  validations:
  - {{expression: "false", message: only signed images}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: meshcheck-{run}}}
spec: {{policyName: meshcheck-{run}, validationActions: [Deny]}}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {{name: sample, namespace: default, labels: {{meshcheck.dev/run: {run}}}}}
spec: {{containers: [{{name: sample, image: none}}]}}
"""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pair(platform: Kubernetes) -> tuple[Workload, Workload]:
    """A client and a server."""
    specs = [WorkloadSpec(platform.namespace("blue"), name) for name in ("client", "server")]
    client, server = await asyncio.gather(*(platform.start(spec, Metadata()) for spec in specs))
    return client, server


@pytest.mark.parametrize("via", Via, ids=str)
@pytest.mark.parametrize("port", ["http", "http-alt", "grpc", "tcp", "tcp-banner"])
async def test_every_port_is_reached_both_ways(pair: tuple[Workload, Workload], port: str, via: Via) -> None:
    client, server = pair
    answered = await client.get(server, port, via=via)
    assert answered.ending is m.Ending.ANSWERED
    assert [attempt.port for attempt in await server.attempts(answered)] == [port]


async def test_the_first_thing_that_an_application_does_is_a_call(
    platform: Kubernetes, pair: tuple[Workload, Workload]
) -> None:
    spec = WorkloadSpec(pair[1].namespace, "early", first_call=FirstCall(pair[1].spec))
    first = await (await platform.start(spec, Metadata())).first_exchange()
    assert first.status == 200
    assert len(await pair[1].attempts(first)) == 1
    await platform.stop(spec)


async def test_a_job_ends_by_itself_and_is_no_loss(platform: Kubernetes) -> None:
    spec = WorkloadSpec(platform.namespace("blue"), "job", job=True)
    assert await platform.finish(await platform.start(spec, Metadata()), NOTICED_WITHIN) == ""
    await platform.ensure_alive()
    await platform.stop(spec)
    assert spec.name not in [pod["metadata"]["labels"][WORKLOAD] for pod in await platform.pods()]


async def test_a_pod_is_asked_on_its_loopback(platform: Kubernetes, pair: tuple[Workload, Workload]) -> None:
    server = pair[1]
    executor, number = await platform.executor(), port_number(server.spec, "http")
    assert await fetch(executor, server.namespace, server.instance, number, "/") is not None
    with pytest.raises(NoAnswer, match="refused"):
        await fetch(executor, server.namespace, server.instance, 1, "/")


async def test_more_than_the_nodes_have_room_for_is_said(platform: Kubernetes) -> None:
    planned = [(WorkloadSpec(platform.namespace("blue"), "client"), Metadata())]
    await platform.refuse_beyond(planned, processes=1)
    with pytest.raises(Inconclusive, match=r"they request [\d.]+ CPU, [\d.]+ GiB and 5000 pods, and its nodes have "):
        await platform.refuse_beyond(planned, processes=5000)


async def test_control_is_quick(pair: tuple[Workload, Workload]) -> None:
    probe, seconds = pair[0].probe, []
    for _ in range(100):
        begun = time.perf_counter()
        await probe.call(m.ReadLedger("nobody"))
        seconds.append(time.perf_counter() - begun)
    assert statistics.median(seconds) < 0.05


async def test_large_messages_survive_the_stream(pair: tuple[Workload, Workload]) -> None:
    client, server = pair
    text = "".join(map(chr, range(1, 0x800))) * 2000
    request_id = await server.answers(m.Answer(body=m.Body(text=text)))
    assert (await client.get(server, request_id=request_id)).body_length == len(text.encode())


@pytest.mark.parametrize("port", ["http", "tcp", "grpc"])
async def test_what_is_sent_in_the_clear_is_captured(
    platform: Kubernetes, pair: tuple[Workload, Workload], port: str
) -> None:
    client, server = pair
    async with platform.wire(client, server, port) as wire:
        answered = await client.get(server, port)
        captured = await wire.look_for(answered.request_id, "never sent")
    # HTTP/2 compresses headers, but not those that are new to it beyond recognition: the id is in the clear.
    assert captured.found == (answered.request_id,)
    assert captured.connections == 1
    assert captured.bytes_to_server
    assert captured.bytes_to_client


async def test_a_capture_sees_nothing_of_others(platform: Kubernetes, pair: tuple[Workload, Workload]) -> None:
    client, server = pair
    async with platform.wire(client, server, "http") as wire:
        captured = await wire.look_for("anything")
    assert (captured.found, captured.connections) == ((), 0)


async def test_a_feigned_workload_serves_what_it_is_told(platform: Kubernetes, pair: tuple[Workload, Workload]) -> None:
    client, _ = pair
    impersonated = await platform.start(
        WorkloadSpec(platform.namespace("grey"), "impostor", Enrolment.IMPERSONATED), Metadata()
    )
    assert (await client.get(impersonated, via=Via.ADDRESS)).ending is m.Ending.CONNECT_REFUSED
    await platform.serve(impersonated, "http")
    assert (await client.get(impersonated, via=Via.ADDRESS)).ending is m.Ending.ANSWERED
    await platform.stop(impersonated.spec)


async def test_a_probe_that_is_killed_is_missed_and_can_be_started_anew(platform: Kubernetes, given: Given) -> None:
    spec = WorkloadSpec(platform.namespace("grey"), "victim")
    await platform.start(spec, Metadata())
    namespace, pod = platform.running[str(spec)].key
    kubectl(given, "delete", "pod", pod, "--namespace", namespace, "--grace-period=0", "--force")
    await asyncio.wait_for(missed(platform), NOTICED_WITHIN)
    with pytest.raises(Inconclusive, match=f"{spec} died or restarted during the check: "):
        platform.check()
    assert await platform.remove_dead() == [str(spec)]
    platform.check()
    await platform.start(spec, Metadata())


async def test_a_stream_that_breaks_costs_no_reply(
    platform: Kubernetes, pair: tuple[Workload, Workload], given: Given
) -> None:
    client, _ = pair
    namespace, pod = platform.running[str(client)].key
    waiting = asyncio.create_task(client.probe.call(m.AwaitAttempt("nobody", patience=3.0)))
    await client.probe.call(m.ReadLedger("nobody"))
    relays = "import os, pathlib, signal\n" + (
        "for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):\n"
        " if b'probe.relay' in path.read_bytes() and int(path.parent.name) != os.getpid():\n"
        "  os.kill(int(path.parent.name), signal.SIGKILL)"
    )
    kubectl(given, "exec", "--namespace", namespace, pod, "--container", CONTAINER, "--", PYTHON, "-c", relays)
    seen = await asyncio.wait_for(waiting, 30)
    assert isinstance(seen, m.Ledger)
    assert seen.attempts == ()
    assert client.probe.trouble is None


async def test_an_image_that_is_not_there_is_named(platform: Kubernetes) -> None:
    from dataclasses import replace  # noqa: PLC0415

    sound, platform.owner = platform.owner, replace(platform.owner, image="localhost/no-such-image:1")
    try:
        with pytest.raises(Inconclusive, match=r"container probe of image localhost/no-such-image:1: ImagePullBackOff"):
            await platform.start(WorkloadSpec(platform.namespace("grey"), "pictureless"), Metadata())
    finally:
        platform.owner = sound


async def test_pods_that_are_rejected_are_explained_and_waited_for_once(platform: Kubernetes, given: Given) -> None:
    run = platform.owner.run
    cluster = await platform._connected()
    scale, cluster.timeout_scale = cluster.timeout_scale, 0.1
    kubectl(given, "apply", "--filename=-", text=REJECTING.format(run=run))
    try:
        await asyncio.to_thread(rejects, given, run)
        spec = WorkloadSpec(platform.namespace("grey"), "unwelcome")
        with pytest.raises(
            Inconclusive, match=r"is not ready after \d+ s: no pod was made; unwelcome-.* only signed images"
        ):
            await platform.start(spec, Metadata())
        begun = time.monotonic()
        with pytest.raises(Inconclusive, match="is not ready after"):
            await platform.start(spec, Metadata())
        assert time.monotonic() - begun < 9.0
    finally:
        cluster.timeout_scale = scale
        kubectl(given, "delete", "--filename=-", text=REJECTING.format(run=run))


def rejects(given: Given, run: str) -> None:
    """Return once pods of the run are rejected: a policy acts a moment after it was applied."""
    until = time.monotonic() + 30
    pod = POD.format(run=run)
    while time.monotonic() < until:
        try:
            kubectl(given, "create", "--dry-run=server", "--filename=-", text=pod)
        except subprocess.CalledProcessError as refused:
            if b"only signed images" in refused.stderr:
                return
            raise
        time.sleep(0.2)
    pytest.fail("the policy does not act")


async def missed(platform: Kubernetes) -> None:
    """Return once a check of the platform fails."""
    while True:
        try:
            platform.check()
        except Inconclusive:
            return
        await asyncio.sleep(0.05)


def kubectl(given: Given, *arguments: str, text: str = "") -> None:
    """Do something to the cluster behind the platform's back."""
    config = [f"--kubeconfig={given.kubeconfig}"] if given.kubeconfig else []
    subprocess.run(
        ["kubectl", *config, f"--context={given.context}", *arguments],
        check=True,
        capture_output=True,
        input=text.encode(),
    )


async def test_an_instance_takes_over_under_load_and_no_ledger_is_lost(
    platform: Kubernetes, pair: tuple[Workload, Workload]
) -> None:
    client, _ = pair
    old = await platform.start(WorkloadSpec(platform.namespace("blue"), "heir"), Metadata())
    async with client.load(old, 50) as load:
        await old.wait_for_attempts(f"{load.request_id}-9")
        new = await platform.add_instance(old, Metadata())
        load.servers.append(new)
        seen, _ = await converge(lambda: new.attempts_of(load), bool, NOTICED_WITHIN)
        await platform.drain(old)
    assert seen
    assert load.result.served_once
    await platform.remove_old(old)
    answered = await client.get(new)
    assert answered.status == 200
    assert await new.attempts(answered)
    await platform.stop(new.spec)
    platform.check()


async def test_a_service_leads_to_all_replicas_and_goes_with_the_last(
    platform: Kubernetes, pair: tuple[Workload, Workload]
) -> None:
    client, _ = pair
    planned = WorkloadSpec(platform.namespace("blue"), "pool", replicas=2)
    specs = [replace(planned, replica=number) for number in (1, 2)]
    replicas = await asyncio.gather(*(platform.start(spec, Metadata()) for spec in specs))

    async def arrived() -> list[int]:
        answered = await client.get(replicas[0])
        return [len(await one.attempts(answered)) for one in replicas]

    for wanted in ([1, 0], [0, 1]):
        seen, _ = await converge(arrived, partial(eq, wanted), NOTICED_WITHIN)
        assert seen == wanted
    await platform.stop(specs[0])
    answered = await client.get(replicas[1])
    assert answered.status == 200
    await platform.stop(specs[1])
    api = await platform.api()
    assert await api.read(f"/api/v1/namespaces/{planned.namespace}/services/pool") is None
    platform.check()
