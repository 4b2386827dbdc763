"""Runs of the suite are made ahead, some at a time, while the tests judge those that are done."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.falsify.judged import AT_A_TIME, Run, Verdicts, planted

Begin = Callable[[Run], "Future[Mapping[str, Verdicts]]"]


@pytest.fixture(scope="session")
def runs_by_defect(request: pytest.FixtureRequest) -> Mapping[str, Run]:
    """The runs in which those defects are planted that the selected tests are about."""
    defects = (_parameters(item).get("defect") for item in request.session.items)
    return planted(defect for defect in defects if isinstance(defect, str))


@pytest.fixture(scope="session")
def begun(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, runs_by_defect: Mapping[str, Run]
) -> Iterator[Begin]:
    """Begins a run, unless it is begun. Under xdist, where workers share the tests, nothing is begun ahead."""
    futures: dict[Run, Future[Mapping[str, Verdicts]]] = {}
    with ThreadPoolExecutor(AT_A_TIME) as pool:

        def begin(run: Run) -> "Future[Mapping[str, Verdicts]]":
            if run not in futures:
                futures[run] = pool.submit(run.verdicts, tmp_path_factory.mktemp(run.name))
            return futures[run]

        if not hasattr(request.config, "workerinput"):
            whole = (_parameters(item).get("run") for item in request.session.items)
            for run in (*runs_by_defect.values(), *whole):
                if isinstance(run, Run):
                    begin(run)
        yield begin
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def verdicts(request: pytest.FixtureRequest, begun: Begin, runs_by_defect: Mapping[str, Run]) -> Verdicts:
    """What the mesh came to that the test is about."""
    parameters = _parameters(request.node)
    if isinstance(run := parameters.get("run"), Run):
        (verdicts,) = begun(run).result().values()
        return verdicts
    defect = str(parameters["defect"])
    return begun(runs_by_defect[defect]).result()[defect]


def _parameters(item: pytest.Item) -> Mapping[str, object]:
    return item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
