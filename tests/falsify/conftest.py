"""Runs of the suite are made ahead, some at a time, while the tests judge those that are done."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.falsify.clauses import Tripped
from tests.falsify.judged import PROCESSORS, Outcome, Run, Verdicts, planted
from tests.falsify.table import cover

Begin = Callable[[Run], "Future[Outcome]"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out thorough runs, and plant a cover of the defects, unless all are asked for, or some by name."""
    if config.getoption("every_defect") or config.getoption("keyword"):
        return
    spared = {item for item in items if item.path.parent == Path(__file__).parent and _is_spared(_parameters(item))}
    config.hook.pytest_deselected(items=[item for item in items if item in spared])
    items[:] = [item for item in items if item not in spared]


def _is_spared(parameters: Mapping[str, object]) -> bool:
    run = parameters.get("run")
    return (
        "clause" in parameters
        or ("defect" in parameters and parameters["defect"] not in cover())
        or (isinstance(run, Run) and run.thorough)
    )


@pytest.fixture(scope="session", autouse=True)
def forks(forked_runs: None) -> None:
    """Starts the process that ``Run.outcome`` forks."""


@pytest.fixture(scope="module")
def of_module(request: pytest.FixtureRequest) -> list[Mapping[str, object]]:
    """The parameters of the tests of this module."""
    return [_parameters(item) for item in request.session.items if item.path == request.path]


@pytest.fixture(scope="module")
def runs_by_defect(of_module: list[Mapping[str, object]]) -> Mapping[str, Run]:
    """The runs in which those defects are planted that the tests are about."""
    defects = (parameters.get("defect") for parameters in of_module)
    return planted(defect for defect in defects if isinstance(defect, str))


@pytest.fixture(scope="module")
def begun(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    of_module: list[Mapping[str, object]],
    runs_by_defect: Mapping[str, Run],
) -> Iterator[Begin]:
    """Begins a run, unless it is begun. Where workers share the tests of a module, nothing is begun ahead."""
    futures: dict[Run, Future[Outcome]] = {}
    with ThreadPoolExecutor(_at_a_time(request.config)) as pool:

        def begin(run: Run) -> "Future[Outcome]":
            if run not in futures:
                futures[run] = pool.submit(run.outcome, tmp_path_factory.mktemp(run.name))
            return futures[run]

        if _has_whole_modules(request.config):
            for run in (*runs_by_defect.values(), *(parameters.get("run") for parameters in of_module)):
                if isinstance(run, Run):
                    begin(run)
        yield begin
        pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def tripped(begun: Begin, runs_by_defect: Mapping[str, Run]) -> Tripped:
    """By mesh and by check, the clauses that the defects trip."""
    return {
        mesh: by_check
        for run in dict.fromkeys(runs_by_defect.values())
        for mesh, by_check in begun(run).result().tripped.items()
    }


@pytest.fixture
def verdicts(request: pytest.FixtureRequest, begun: Begin, runs_by_defect: Mapping[str, Run]) -> Verdicts:
    """What the mesh came to that the test is about."""
    parameters = _parameters(request.node)
    if isinstance(run := parameters.get("run"), Run):
        (verdicts,) = begun(run).result().verdicts.values()
        return verdicts
    defect = str(parameters["defect"])
    return begun(runs_by_defect[defect]).result().verdicts[defect]


def _parameters(item: pytest.Item) -> Mapping[str, object]:
    return item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}


def _at_a_time(config: pytest.Config) -> int:
    """Runs; a run waits a good part of its time, and so do the other workers of xdist, which share the processors."""
    workers = config.workerinput["workercount"] if hasattr(config, "workerinput") else 0
    return max(1, 2 * PROCESSORS // workers) if workers else PROCESSORS + 1


def _has_whole_modules(config: pytest.Config) -> bool:
    """Whether a process that has one test of a module has all of them."""
    return not hasattr(config, "workerinput") or "--dist=loadfile" in config.workerinput["mainargv"]
