"""The process that runs of pytest are forks of: see ``tests.forked``."""

import importlib
import json
import os
import runpy
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence

import pytest

EMPTY_RUN = (
    *("--mesh=envoy", "--collect-only", "-c", os.devnull, "-o", "asyncio_default_fixture_loop_scope=session"),
    *("-p", "no:cacheprovider", "-p", "no:rerunfailures"),  # the latter has a thread, which no fork inherits
)
"""Has pytest itself load the plugins, as it rewrites their assertions."""

LATER = ("meshes.envoy.process.discovery", "report.writer", "suite", "testbed.stand_in.handle")
"""Modules of the package that runs import once they have collected checks."""


def serve() -> None:
    """Fork runs on request."""
    with tempfile.TemporaryDirectory() as empty:
        code = pytest.main([*EMPTY_RUN, empty])
    if code != pytest.ExitCode.NO_TESTS_COLLECTED:
        sys.exit(f"the run that loads modules ended with {code}")
    for module in LATER:
        importlib.import_module(f"pytest_meshcheck.{module}")
    fork_on_request()


def fork_on_request() -> None:
    """In each fork become a run; pytest had to be the first to load the package."""
    from pytest_meshcheck.probe.agent import main  # noqa: PLC0415 - see above

    compile_templates()
    if request := main.fork_on_request():
        cwd, args, env = json.loads(request)
        become_run(cwd, args, env)


def compile_templates() -> None:
    """Have the pages of reports compiled, as modules are."""
    from pytest_meshcheck.report.formats import html  # noqa: PLC0415 - as above

    environment = html._environment()
    for name in environment.list_templates(extensions=["jinja"]):
        environment.get_template(name)


def become_run(cwd: str, args: Sequence[str], env: Mapping[str, str]) -> None:
    """Go on as ``python -m pytest`` does from its first line."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    tempfile.tempdir = None
    sys.path[0], sys.argv = cwd, ["pytest", *args]
    runpy.run_module("pytest", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    serve()
