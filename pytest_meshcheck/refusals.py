"""Refusals of bad input that shows only once tests are collected, which xdist workers do."""

import pytest

REFUSED = "meshcheck_refused"
"""The attribute of a collect report with the reason why a run is refused; xdist keeps it."""


class Refusals:
    """The hook of the process that the user started."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Refuse what a worker refuses; a UsageError, in place of pytest's section of errors."""
        if refused := getattr(report, REFUSED, ""):
            raise pytest.UsageError(refused)


def refuse(config: pytest.Config, error: pytest.UsageError) -> None:
    """End the run; an xdist worker has the controller do so, which would take an error here for a crash."""
    if not hasattr(config, "workerinput"):
        raise error
    report = pytest.CollectReport("", "failed", str(error), [])
    setattr(report, REFUSED, str(error))
    config.hook.pytest_collectreport(report=report)
