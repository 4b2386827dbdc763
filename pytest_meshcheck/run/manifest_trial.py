"""Manifests of a user on trial in a run: what is selected by ``--mesh-manifests``, and the fixture of its checks."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import msgspec
import pytest

from pytest_meshcheck.meshes.base import Mesh, PlatformKind
from pytest_meshcheck.model.errors import Inconclusive, MeshUnavailable
from pytest_meshcheck.options import MeshName, Settings
from pytest_meshcheck.refusals import refuse
from pytest_meshcheck.run.expected_checks import OPTION as EXPECT, WITHOUT_MANIFESTS, expected_of, is_void, parametrize
from pytest_meshcheck.run.items import mesh_of
from pytest_meshcheck.run.resource_checks import budgeted, parametrize_parts
from pytest_meshcheck.testbed.mesh import MeshUnderTest

if TYPE_CHECKING:
    from pytest_meshcheck.manifests.expectations.expected import Expected
    from pytest_meshcheck.manifests.objects import KubernetesObject
    from pytest_meshcheck.manifests.plan import Plan
    from pytest_meshcheck.manifests.reading import Text
    from pytest_meshcheck.platforms.kubernetes.access.cluster_ref import NamedCluster
    from pytest_meshcheck.testbed.trial.trial import Trial

MANIFESTS = "meshcheck_manifests"
"""The key of the texts in the input of an xdist worker."""

SUITE = Path(__file__).parents[1] / "configuration"
OPTION = "--mesh-manifests"
ONLY = "--mesh-manifests-only"
NOT_GIVEN = f"these checks put manifests of your own on trial: name them with {OPTION}=PATH"
FIXTURE = "mesh_trial"
PARAMETER = "destination"
STAND_IN = "stand_in"
NO_STAND_IN = f"{STAND_IN} is a workload of your own manifests: name them with {OPTION}=PATH"


class Given(NamedTuple):
    """The manifests of a run, and the objects in them; none without --mesh-manifests."""

    texts: "list[Text]"
    objects: "list[KubernetesObject]"


@dataclass(eq=False)
class ManifestTrial:
    """The hooks of a run with manifests; without any it refuses the checks that need them.

    Attributes:
        texts: The manifests as they were read.
        plans: What becomes of them on each mesh.
        expected: What the user expects of them; None without manifests.
        homes: The namespace of the control plane of each mesh; empty without one.
        budget: Seconds for taking out resources.
    """

    texts: "list[Text]"
    plans: "Mapping[MeshName, Plan]"
    scale: float = 1.0
    in_worker: bool = False
    expected: "Expected | None" = None
    homes: Mapping[MeshName, str] = field(default_factory=dict)
    budget: float = 0.0

    @classmethod
    def of(
        cls, config: pytest.Config, settings: Settings, adapters: Mapping[MeshName, Mesh], given: Given
    ) -> "ManifestTrial":
        """Plan what becomes of the manifests, and select the checks about them where no path is given.

        Raises:
            pytest.UsageError: The manifests cannot be used, or not in such a run.
        """
        if not given.texts:
            return cls([], {})
        from pytest_meshcheck.manifests.errors import ManifestError  # noqa: PLC0415 - other runs need no YAML
        from pytest_meshcheck.manifests.narrowing import expected_of_some, narrowed  # noqa: PLC0415 - as above

        _refuse_run(config, settings, adapters)
        try:
            plans = {name: _plan(given.objects, adapter) for name, adapter in adapters.items()}
            expected = expected_of(settings, plans.values())
            homes = {name: _home(adapter) for name, adapter in adapters.items()}
            plans = {name: narrowed(made, settings.mesh_manifests_only, homes[name]) for name, made in plans.items()}
            for made in plans.values():
                expected = expected_of_some(expected, made)
        except ManifestError as error:
            raise pytest.UsageError(f"{OPTION}: {error}") from error
        if config.args_source is not pytest.Config.ArgsSource.ARGS:
            config.args[:] = [str(SUITE)]
        in_worker, budget = hasattr(config, "workerinput"), settings.mesh_manifests_budget
        return cls(given.texts, plans, settings.mesh_timeout_scale, in_worker, expected, homes, budget)

    def look_before(self, config: pytest.Config, named: "NamedCluster | None") -> None:
        """Refuse namespaces that exist in the cluster that the user named, before anything is made.

        Raises:
            pytest.UsageError: One exists, or the cluster does not say.
        """
        if not self.plans or named is None or config.option.collectonly:
            return
        from pytest_meshcheck.manifests.errors import ManifestError  # noqa: PLC0415 - other runs need no YAML
        from pytest_meshcheck.testbed.trial.resources import namespaces_are_free  # noqa: PLC0415 - no client either

        places = {name: place for made in self.plans.values() for name, place in made.named.items()}
        try:
            asyncio.run(namespaces_are_free(named.path, named.context, places))
        except (ManifestError, MeshUnavailable) as error:
            raise pytest.UsageError(f"{OPTION}: {error}") from error

    def pytest_report_header(self) -> list[str]:
        """What becomes of the manifests, and what is expected of them."""
        from pytest_meshcheck.manifests.described import described  # noqa: PLC0415 - as above

        made = [line for name, made in self.plans.items() for line in described(made, str(name))]
        expected = [str(self.expected)] if self.expected and self.expected.file else []
        return [*made, *expected, *budgeted(self.plans.values(), self.budget)]

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Pass the manifests to an xdist worker, which has no standard input of its own."""
        node.workerinput[MANIFESTS] = msgspec.json.encode(self.texts).decode()

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run a check about destinations once per port of a service, and one about expectations once for each."""
        parametrize(metafunc, self.expected)
        parametrize_parts(metafunc, self.plans, self.texts, self.homes)
        if FIXTURE in metafunc.fixturenames and PARAMETER in metafunc.fixturenames:
            named = dict.fromkeys(str(one) for made in self.plans.values() for one in made.destinations)
            metafunc.parametrize(PARAMETER, list(named), scope="session")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> Any:
        """Refuse checks about manifests in a run without any; leave out those about nothing.

        Before checks get their ids, so that what is left out does not count as not run.
        """
        if not self.plans and any(uses_trial(item) and not uses_stand_in(item) for item in items):
            refuse(config, pytest.UsageError(NOT_GIVEN))
            items.clear()
        items[:] = [item for item in items if not is_void(item)]
        return (yield)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Refuse a run of tests whose stand-ins stand in for nothing, before anything is made for them alone."""
        uses = [item for item in session.items if mesh_of(item)]
        starts = not session.config.option.collectonly and not hasattr(session.config, "workerinput")
        if starts and uses and not self.plans and all(map(uses_stand_in, uses)):
            raise pytest.UsageError(NO_STAND_IN)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Fail such a test where the run goes on: because of others, or in an xdist worker."""
        if not self.plans and uses_stand_in(item):
            pytest.fail(NO_STAND_IN, pytrace=False)

    @asynccontextmanager
    async def held(self, name: MeshName, subject: MeshUnderTest) -> "AsyncIterator[Trial]":
        """The trial of a mesh while the block runs.

        Raises:
            pytest.exit.Exception: Something of it exists already or is rejected, which was found before it was made.
            Inconclusive: A stand-in does not start, or the mesh does not take the configuration; all is removed.
        """
        from pytest_meshcheck.manifests.errors import ManifestError  # noqa: PLC0415 - as above
        from pytest_meshcheck.platforms.kubernetes.platform import Kubernetes  # noqa: PLC0415 - no cluster, no client
        from pytest_meshcheck.testbed.trial.trial import Trial  # noqa: PLC0415 - as above

        if not isinstance(subject.platform, Kubernetes):
            raise Inconclusive(f"stand-ins need a cluster, and {name} runs on {subject.platform}")
        of_mesh = (subject.adapter, subject.platform, self.plans[name], _home(subject.adapter))
        trial = Trial(*of_mesh, self.scale, expected=self.expected)
        begun = time.monotonic()
        try:
            await trial.begin()
            serving = time.monotonic()
            await trial.settle()
            subject.steps |= {"stand-ins": serving - begun, "configuration": time.monotonic() - serving}
            yield trial
        except ManifestError as error:
            self._refuse(f"{OPTION}: {error}")
        finally:
            await trial.close()

    def _refuse(self, why: str) -> NoReturn:
        """End the run as for any bad input; an xdist worker cannot, and has no verdict instead."""
        if self.in_worker:
            raise Inconclusive(why)
        pytest.exit(f"meshcheck: {why}", returncode=pytest.ExitCode.USAGE_ERROR)


def read(config: pytest.Config, settings: Settings) -> Given:
    """The manifests as they are; to be read before anything is looked up on the network.

    Raises:
        pytest.UsageError: They cannot be read, or an option is about manifests, and there are none.
    """
    if not settings.mesh_manifests:
        for option, value in ((EXPECT, settings.mesh_manifests_expect), (ONLY, settings.mesh_manifests_only)):
            if value:
                raise pytest.UsageError(WITHOUT_MANIFESTS.format(option=option))
        return Given([], [])
    from pytest_meshcheck.manifests.errors import ManifestError  # noqa: PLC0415 - other runs need no YAML
    from pytest_meshcheck.manifests.reading import objects_in  # noqa: PLC0415 - as above

    try:
        texts = _texts(config, settings)
        return Given(texts, objects_in(texts))
    except ManifestError as error:
        raise pytest.UsageError(f"{OPTION}: {error}") from error


def uses_trial(item: pytest.Item) -> bool:
    """Whether a test or a check is about the manifests."""
    return FIXTURE in getattr(item, "fixturenames", ())


def uses_stand_in(item: pytest.Item) -> bool:
    """Whether a test of a user's own asks for a stand-in."""
    return STAND_IN in getattr(item, "fixturenames", ())


def _refuse_run(config: pytest.Config, settings: Settings, adapters: Mapping[MeshName, Mesh]) -> None:
    for name, adapter in adapters.items():
        if adapter.runs_on is PlatformKind.PROCESSES:
            raise pytest.UsageError(
                f"{OPTION}: --mesh={name} runs as local processes, without a cluster for the manifests: select a mesh "
                "on Kubernetes, such as --mesh=istio"
            )
    if settings.mesh_upgrade_to is not None:
        raise pytest.UsageError(f"{OPTION} and --mesh-upgrade-to cannot be combined: upgrade without manifests")
    if len(getattr(config.option, "tx", None) or ()) > 1:
        raise pytest.UsageError(
            f"{OPTION}: the namespaces of the manifests exist once, so one process has all of them: take -n 1"
        )


def _home(adapter: Mesh) -> str:
    """The namespace of the control plane; empty without one."""
    return str(getattr(adapter, "namespace", ""))


def _texts(config: pytest.Config, settings: Settings) -> "list[Text]":
    from pytest_meshcheck.manifests.reading import STANDARD_INPUT, Text, texts_of  # noqa: PLC0415 - as above

    given: dict[str, Any] = getattr(config, "workerinput", {})
    if MANIFESTS in given:
        return msgspec.json.decode(given[MANIFESTS], type=list[Text])
    paths = settings.mesh_manifests
    return texts_of(paths, _standard_input(config) if STANDARD_INPUT in paths else "")


def _standard_input(config: pytest.Config) -> str:
    """What is piped into pytest, which takes standard input from tests; it does so again when it next captures."""
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    if capture is not None:
        capture.suspend_global_capture(in_=True)
    if sys.stdin.isatty():
        raise pytest.UsageError(f"{OPTION}=-: nothing is piped in; write: kustomize build k8s/ | pytest {OPTION}=-")
    return sys.stdin.read()


def _plan(objects: Any, adapter: Mesh) -> "Plan":
    from pytest_meshcheck.manifests.plan import Configured, plan  # noqa: PLC0415 - as above
    from pytest_meshcheck.meshes.kubernetes.mesh import KubernetesMesh  # noqa: PLC0415 - no cluster, no client

    if not isinstance(adapter, KubernetesMesh):
        return plan(objects, Configured(adapter.name, (), "", ours=adapter.installed_by_run))
    return plan(objects, Configured(adapter.name, adapter.policies, adapter.namespace, ours=adapter.installed_by_run))
