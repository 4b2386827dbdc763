"""The fixtures of a check: the mesh, and the workloads of the stage by their role."""

import asyncio
import copy
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from pytest_meshcheck.meshes.base import PlatformKind
from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.model.journal import Journal
from pytest_meshcheck.model.stage import STAGE
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.platforms.base import Platform
from pytest_meshcheck.platforms.local.platform import Processes
from pytest_meshcheck.run.items import CHECK_ITEM, SUBJECT
from pytest_meshcheck.run.upgrade import Handover
from pytest_meshcheck.testbed.lock import MeshLock
from pytest_meshcheck.testbed.mesh import MeshUnderTest
from pytest_meshcheck.testbed.upgrade import upgrade
from pytest_meshcheck.testbed.upgrade_outcome import Upgraded

if TYPE_CHECKING:
    from pytest_meshcheck.options import MeshName
    from pytest_meshcheck.run.cluster import Cluster
    from pytest_meshcheck.run.hooks import Run
    from pytest_meshcheck.run.manifest_trial import ManifestTrial
    from pytest_meshcheck.run.own_tests import OwnTests
    from pytest_meshcheck.testbed.mesh_cluster import MeshCluster
    from pytest_meshcheck.testbed.stand_in.handle import RunningStandIn
    from pytest_meshcheck.testbed.trial.trial import Trial


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def mesh_handover() -> AsyncIterator[Handover]:
    """Holds a mesh between the checks of its two versions, in an upgrade run."""
    handover = Handover()
    yield handover
    await handover.close()


@pytest.fixture(scope="session")
def mesh_platform(mesh_name: "MeshName", mesh_handover: Handover, pytestconfig: pytest.Config) -> Platform:
    """The platform that the mesh runs on; override it to run the mesh elsewhere."""
    run: Run = pytestconfig.pluginmanager.get_plugin("meshcheck-run")  # type: ignore[assignment]
    if mesh_handover.subject is not None:
        return mesh_handover.subject.platform
    scale = run.settings.mesh_timeout_scale
    if run.adapters[mesh_name].runs_on is PlatformKind.PROCESSES:
        return Processes(Journal(), timeout_scale=scale)
    from pytest_meshcheck.platforms.kubernetes.platform import Kubernetes  # noqa: PLC0415 - no cluster, no client

    cluster: Cluster = pytestconfig.pluginmanager.get_plugin("meshcheck-cluster")  # type: ignore[assignment]
    position = list(run.adapters).index(mesh_name)
    parts = [cluster.worker, f"m{position}" if position else ""]
    return Kubernetes(Journal(), cluster.cluster_ref, "-".join(filter(None, parts)), scale)


@pytest.fixture(scope="session")
def mesh_chart_values() -> Mapping[str, Mapping[str, Any]]:
    """Helm values by chart, or ``*`` for every chart; override it for images and settings.

    They override the adapter's values and ``--mesh-values``.
    """
    return {}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def mesh_session(
    mesh_name: "MeshName",
    mesh_platform: Platform,
    mesh_handover: Handover,
    mesh_chart_values: Mapping[str, Mapping[str, Any]],
    pytestconfig: pytest.Config,
) -> AsyncIterator[MeshUnderTest]:
    """The mesh, installed while its checks run; upgraded first if they are for another version."""
    run: Run = pytestconfig.pluginmanager.get_plugin("meshcheck-run")  # type: ignore[assignment]
    before = run.before(mesh_name)
    subject = mesh_handover.take()
    fresh = subject is None
    if subject is None:
        subject = _subject(run, before or mesh_name, mesh_platform)
        subject.stalls.pulse.begin()
    try:
        if fresh:
            await _install(subject, mesh_chart_values, [c for one in run.adapters.values() for c in one.charts])
            if run.cluster is not None:
                run.cluster.say_ready(mesh_name, subject)
        if before is not None and mesh_name.version is not None and run.upgrade is not None:
            run.adapters[before] = copy.copy(subject.adapter)  # the report describes the mesh as it was tested
            await subject.head_starts.close()
            await upgrade(subject, mesh_name.version, run.upgrade.by)
        if fresh:
            await subject.stage.ask_for_room(run.roles.get(mesh_name, ()), _processes(pytestconfig))
        if subject.documented.needs_polling:
            subject.stage.begin_ahead(run.roles.get(mesh_name, ()))
        for check_id, planned in run.head_starts.get(mesh_name, {}).items():
            subject.head_starts.begin(check_id, planned, subject)
        yield subject
        if run.is_upgraded(mesh_name):
            mesh_handover.subject = subject
    except Exception:
        await _keep_state(run, subject)
        raise
    finally:
        if mesh_handover.subject is not subject:
            await subject.close()


def _processes(config: pytest.Config) -> int:
    """The number of processes of the run that have a stage."""
    given: dict[str, Any] = getattr(config, "workerinput", {})
    return int(given.get("workercount", 1))


def _subject(run: "Run", name: "MeshName", platform: Platform) -> MeshUnderTest:
    return MeshUnderTest(
        run.adapters[name],
        platform,
        run.settings.mesh_timeout_scale,
        may_disrupt=run.judging.may_disrupt(name),
        lock=MeshLock(run.lock_of(name)),
    )


async def _install(subject: MeshUnderTest, values: Mapping[str, Mapping[str, Any]], charts: Collection[str]) -> None:
    begun = time.monotonic()
    if values and subject.adapter.charts:
        from pytest_meshcheck.platforms.helm.values import unknown_charts  # noqa: PLC0415 - most need no YAML

        if unknown := unknown_charts(values, charts):
            raise MeshUnavailable(f"the fixture mesh_chart_values: {unknown}")
        subject.adapter.override(values)
    async with subject.lock.held(exclusive=True):
        await subject.adapter.install(subject.platform)
    subject.steps["mesh"] = time.monotonic() - begun


@pytest_asyncio.fixture(loop_scope="session")
async def mesh_evidence(
    mesh_session: MeshUnderTest, request: pytest.FixtureRequest, pytestconfig: pytest.Config
) -> AsyncIterator[None]:
    """Collects the evidence of this test from here on, complete even if starting the workloads fails."""
    run: Run = pytestconfig.pluginmanager.get_plugin("meshcheck-run")  # type: ignore[assignment]
    check_item = request.node.stash.get(CHECK_ITEM, None)
    async with mesh_session.lock.held(exclusive=bool(check_item and check_item.check.disruptive)):
        mesh_session.begin_check(run.judging.evidence_of(request.node) / "state" if check_item else None)
        request.node.stash[SUBJECT] = mesh_session
        yield
        if run.judging.keeps_evidence(request.node):
            await _capture(run, mesh_session)


async def _keep_state(run: "Run", subject: MeshUnderTest) -> None:
    """Keep the state of a mesh that did not become ready, as evidence of the check that it was made ready for."""
    item = run.judging.in_setup
    if item is not None and run.settings.mesh_artifacts != "never":
        subject.evidence.directory = run.judging.evidence_of(item) / "state"
        item.stash[SUBJECT] = subject
        await _capture(run, subject)


async def _capture(run: "Run", subject: MeshUnderTest) -> None:
    try:
        await subject.evidence.capture()
    except Exception as error:  # noqa: BLE001 - the verdict stands even if its evidence cannot be kept
        why = getattr(error, "strerror", None) or error
        run.judging.troubles.append(f"the state of the mesh could not be kept: {why}")


@pytest_asyncio.fixture(loop_scope="session")
async def mesh(mesh_session: MeshUnderTest, mesh_evidence: None) -> MeshUnderTest:
    """The mesh under test: policies, rotations, wire captures, and its documented behaviour."""
    await mesh_session.catch_up()
    return mesh_session


def _workload_of(role: str) -> Any:
    """The fixture of a workload of the stage; if it is not reached, that is a failed control of the check."""

    async def workload(mesh: MeshUnderTest, request: pytest.FixtureRequest) -> Workload:
        return await mesh.workload(role, reached=CHECK_ITEM not in request.node.stash)

    workload.__doc__ = STAGE[role].description
    return pytest_asyncio.fixture(loop_scope="session", name=f"mesh_{role}")(workload)


globals().update({f"mesh_{role}": _workload_of(role) for role in STAGE})


@pytest.fixture
def mesh_upgraded(mesh: MeshUnderTest) -> Upgraded:
    """The observations made during the upgrade to the present version."""
    return mesh.of_upgrade()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def mesh_trial(mesh_session: MeshUnderTest, mesh_name: "MeshName", pytestconfig: pytest.Config) -> Any:
    """The stand-ins of the workloads of --mesh-manifests, under the mesh resources of the same manifests."""
    manifests: ManifestTrial = pytestconfig.pluginmanager.get_plugin("meshcheck-trial")  # type: ignore[assignment]
    async with manifests.held(mesh_name, mesh_session) as trial:
        yield trial


@pytest_asyncio.fixture(loop_scope="session")
async def stand_in(
    mesh_session: MeshUnderTest, mesh_trial: Any, mesh_evidence: None, request: pytest.FixtureRequest
) -> AsyncIterator["Callable[[str], RunningStandIn]"]:
    """The stand-in of a workload of --mesh-manifests, by its name such as shop/orders; for tests of your own."""
    from pytest_meshcheck.testbed.stand_in.handle import RunningStandIn  # noqa: PLC0415 - no cluster, no client
    from pytest_meshcheck.testbed.stand_in.names import UnknownName  # noqa: PLC0415 - as above
    from pytest_meshcheck.testbed.stand_in.seen import seen  # noqa: PLC0415 - as above

    loop = asyncio.get_running_loop()

    def named(name: str) -> RunningStandIn:
        try:
            return RunningStandIn.named(mesh_trial, name, loop)
        except UnknownName as unknown:
            said = f"stand_in: {unknown}"
        pytest.fail(said, pytrace=False)

    yield named
    request.node.add_report_section("teardown", "meshcheck", seen(mesh_session.journal.entries))


@pytest.fixture(scope="session")
def mesh_mutation(mesh_trial: "Trial", pytestconfig: pytest.Config) -> Any:
    """Takes the mesh resources of --mesh-manifests out, one after the other, within --mesh-manifests-budget."""
    run: Run = pytestconfig.pluginmanager.get_plugin("meshcheck-run")  # type: ignore[assignment]
    from pytest_meshcheck.run.resource_checks import mutation_of  # noqa: PLC0415 - only runs with manifests

    return mutation_of(mesh_trial, run.settings)


@pytest.fixture
def mesh_head_start(mesh: MeshUnderTest, request: pytest.FixtureRequest) -> Awaitable[Any]:
    """The result of the check's ``head_start``; awaiting it waits for its end."""
    return mesh.head_start(request.node.stash[CHECK_ITEM].id)


@pytest.fixture(scope="session")
def mesh_cluster(mesh_session: MeshUnderTest, pytestconfig: pytest.Config) -> Iterator["MeshCluster"]:
    """The kind cluster, or the one of --mesh-context, with the selected mesh ready on it; for tests of your own."""
    from pytest_meshcheck.run.provision import cluster_of  # noqa: PLC0415 - no cluster, no client

    own: OwnTests = pytestconfig.pluginmanager.get_plugin("meshcheck-own-tests")  # type: ignore[assignment]
    cluster = cluster_of(mesh_session, own.settings.mesh_timeout_scale)
    with pytest.MonkeyPatch.context() as environment:
        for name, value in cluster.access.past_proxy().items():
            environment.setenv(name, value)
        own.cluster = cluster
        try:
            yield cluster
        finally:
            own.cluster = None
            cluster.close()


@pytest.fixture
def mesh_namespace(mesh_cluster: "MeshCluster") -> Iterator[str]:
    """The name of a namespace for one test, in which every pod is part of the mesh; removed after the test."""
    with mesh_cluster.namespace() as name:
        yield name
