"""Runs of the suite are made ahead, some at a time, while the tests judge those that are done."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.falsify.judged import AT_A_TIME, Run, Verdicts

Begin = Callable[[Run], "Future[Verdicts]"]


@pytest.fixture(scope="session")
def begun(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begin]:
    """Begins a run, unless it is begun. Under xdist, where workers share the tests, nothing is begun ahead."""
    futures: dict[Run, Future[Verdicts]] = {}
    with ThreadPoolExecutor(AT_A_TIME) as pool:

        def begin(run: Run) -> "Future[Verdicts]":
            if run not in futures:
                futures[run] = pool.submit(run.verdicts, tmp_path_factory.mktemp(run.name))
            return futures[run]

        if not hasattr(request.config, "workerinput"):
            for item in request.session.items:
                if isinstance(item, pytest.Function) and isinstance(run := _parameters(item).get("run"), Run):
                    begin(run)
        yield begin
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def verdicts(run: Run, begun: Begin) -> Verdicts:
    """What the run came to that the test is about."""
    return begun(run).result()


def _parameters(item: pytest.Function) -> dict[str, object]:
    return item.callspec.params if hasattr(item, "callspec") else {}
