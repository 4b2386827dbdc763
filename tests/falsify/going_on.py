"""A pytest plugin (``-p tests.falsify.going_on``) that shows every clause which a defect trips, not only the first.

A check goes on after a failed ``expect``, and ends with the first violation, so that its verdict is the same. Where one
clause alone is tripped, the check would not see the defect without it.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pytest_meshcheck.checks import catalogue, claims, leaks
from pytest_meshcheck.checks.verdict import Violation
from pytest_meshcheck.run.items import CHECK_ITEM
from tests.falsify.clauses import FILE, clause_at
from tests.falsify.table import SUITE

_in_check: ContextVar[bool] = ContextVar("in a check", default=False)
"""False in head starts, which run beside other checks: there the first violation ends them, as without this plugin."""


@dataclass
class Recorder:
    """Keeps the violations of the running check, and the clauses that were tripped in the run."""

    violations: list[Violation] = field(default_factory=list)
    tripped: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    _running: list[str] = field(default_factory=list)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Note which check runs."""
        check = item.stash[CHECK_ITEM]
        self._running = self.tripped.setdefault(check.mesh.name, {}).setdefault(check.id, [])

    def keep(self, violation: Violation) -> None:
        """In the place of ``fail_expectation``."""
        if not _in_check.get():
            leaks.fail_expectation(violation)
            return
        try:
            leaks.fail_expectation(violation)
        except Violation as failed:
            self.violations.append(failed)
            self._running.append(_clause_of_caller())

    @contextmanager
    def leaks_first(self, going_on: bool) -> Iterator[None]:
        """In the place of its namesake."""
        self.violations.clear()
        token = _in_check.set(True)
        try:
            with leaks.leaks_first(going_on):
                yield
        except Exception:  # after a failed clause a check may rest on what that clause has denied
            if not self.violations:
                raise
        finally:
            _in_check.reset(token)
        if self.violations:
            raise self.violations[0]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write down what was tripped."""
        reports = Path(session.config.getoption("mesh_report"))
        (reports / FILE).write_text(json.dumps(self.tripped))


def pytest_configure(config: pytest.Config) -> None:
    """Go on after a failed ``expect`` from now on."""
    recorder = Recorder()
    claims.fail_expectation = recorder.keep  # type: ignore[attr-defined]
    catalogue.leaks_first = recorder.leaks_first  # type: ignore[attr-defined]
    config.pluginmanager.register(recorder)


def _clause_of_caller() -> str:
    frame = sys._getframe(1)
    while not (path := Path(frame.f_code.co_filename).resolve()).is_relative_to(SUITE):
        assert frame.f_back is not None, "an expectation outside of the suite"
        frame = frame.f_back
    return clause_at(path, frame.f_lineno)
