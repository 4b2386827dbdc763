"""A pytest plugin (``-p tests.falsify.overload``) under which loads overrun from a moment of a check on.

The moment is the end of the first call, with a load under way, of the step that the environment names. The probe that
sends the load is stopped until that is too late for its schedule. The steps that a check still begins are written down.
"""

import asyncio
import functools
import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_meshcheck.checks.expect import converge
from pytest_meshcheck.model import workload
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.load import Load
from pytest_meshcheck.testbed.mesh import MeshUnderTest

STEP = "MESHCHECK_TEST_OVERLOAD_AFTER"
FILE = "steps-after-overload.json"

LATE = 0.05
"""As ``workload.LATE``, of which a test need not wait for the whole."""

STEPS = {"rotate": MeshUnderTest, "served_chain": MeshUnderTest, "handshake": MeshUnderTest}
"""The steps of checks that are noticed, by their names."""


@dataclass
class Overload:
    """Stops the client's probe once, and keeps the names of the steps that begin afterwards."""

    after: str
    item: pytest.Item | None = None
    steps: list[str] | None = None

    def watch(self, owner: type, name: str) -> None:
        """Notice the calls of a method."""
        original = getattr(owner, name)

        @functools.wraps(original)
        async def step(*args: Any, **kwargs: Any) -> Any:
            if self.steps is not None:
                self.steps.append(name)
            returned = await original(*args, **kwargs)
            if name == self.after and self.steps is None and self._client.loads:
                await self._overrun()
                self.steps = []
            return returned

        setattr(owner, name, step)

    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Note which check runs."""
        self.item = item

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write down what went on; null if nothing was overloaded."""
        (Path(session.config.getoption("mesh_report")) / FILE).write_text(json.dumps(self.steps))

    @property
    def _client(self) -> workload.Workload:
        assert isinstance(self.item, pytest.Function)
        client: workload.Workload = self.item.funcargs["mesh_client"]
        return client

    async def _overrun(self) -> None:
        assert isinstance(self.item, pytest.Function)
        children = self.item.funcargs["mesh"].platform.processes.children
        (probe,) = (one.process for one in children if one.name == f"probe of {self._client}")
        probe.send_signal(signal.SIGSTOP)
        await asyncio.sleep(2 * LATE * self._client.patience)
        probe.send_signal(signal.SIGCONT)
        for load in self._client.loads:
            late, _ = await converge(functools.partial(_is_late, load), bool, self._client.patience)
            assert late, load


async def _is_late(load: Load) -> bool:
    try:
        await load.keeps_up()
    except Inconclusive:
        return True
    return False


def pytest_configure(config: pytest.Config) -> None:
    """Watch the steps of checks from now on."""
    workload.LATE = LATE
    overload = Overload(os.environ[STEP])
    for name, owner in STEPS.items():
        overload.watch(owner, name)
    config.pluginmanager.register(overload)
