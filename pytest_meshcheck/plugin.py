"""The plugin as every pytest run loads it: options, and nothing beyond the standard library.

Everything else is imported once a mesh is selected.
"""

import gc
import warnings

import pytest

from pytest_meshcheck import hookspecs, options
from pytest_meshcheck.refusals import Refusals, refuse

LOOP_SCOPE_UNSET = 'The configuration option "asyncio_default_fixture_loop_scope" is unset'
"""A warning of pytest-asyncio that does not concern checks: all of their fixtures name their loop."""

NO_MESH_SELECTED = "no mesh is selected: add --mesh=NAME, or `mesh = NAME` to the ini file"
NO_MESH = "these checks test a service mesh, and none is selected: add --mesh=NAME; available are {names}."


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    options.add(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks."""
    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Load the rest of the plugin if a mesh is selected."""
    config.addinivalue_line("markers", "mesh_check(check): a conformance check; made by @check.")
    config.addinivalue_line(
        "markers", "mesh_proves(capabilities): the capabilities proved with this parameter; made by proves()."
    )
    config.addinivalue_line("markers", "mesh_needs(lacking): what the mesh has to document; made by needs().")
    config.addinivalue_line("markers", "mesh_slow: takes minutes, and runs only with --mesh-slow; made by slow.")
    if config.option.help or config.getoption("mesh_list"):
        return
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Refusals(), "meshcheck-refusals")
    if spaced := options.behind_a_space(config):
        from pytest_meshcheck.run import overlooked  # noqa: PLC0415 - no cost for other pytest runs

        overlooked.refuse_overlooked_ini(config, spaced)
    if (settings := options.settings(config)).mesh:
        _freeze(config)
        from pytest_meshcheck.run import start  # noqa: PLC0415 - as above

        warnings.filterwarnings("ignore", message=LOOP_SCOPE_UNSET)
        start.start(config, settings)


def _freeze(config: pytest.Config) -> None:
    """Keep from garbage collections what lives until the end: they would take a tenth of the processor time of a run.

    The clean-up comes after that of pytest, which collects garbage.
    """
    gc.freeze()
    config.add_cleanup(gc.unfreeze)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Do the same with the rest of the plugin and the collected tests."""
    if options.settings(session.config).mesh:
        gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Answer ``--mesh-list``."""
    if not config.getoption("mesh_list"):
        return None
    from pytest_meshcheck.run import start  # noqa: PLC0415 - as above

    return start.list_meshes(config)


@pytest.fixture(scope="session")
def mesh_cluster() -> None:
    """The kind cluster, or the one of --mesh-context, with the selected mesh ready on it; for tests of your own."""
    # run.fixtures overrides all of these once a mesh is selected
    pytest.fail(f"mesh_cluster: {NO_MESH_SELECTED}", pytrace=False)


@pytest.fixture
def mesh_namespace(mesh_cluster: None) -> None:
    """The name of a namespace for one test, in which every pod is part of the mesh; removed after the test."""


@pytest.fixture
def stand_in() -> None:
    """The stand-in of a workload of --mesh-manifests, by its name such as shop/orders; for tests of your own."""
    pytest.fail(f"stand_in: {NO_MESH_SELECTED}; and --mesh-manifests=PATH", pytrace=False)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse checks that are collected without a mesh."""
    if not options.settings(config).mesh and any(item.get_closest_marker("mesh_check") for item in items):
        from pytest_meshcheck.run import start  # noqa: PLC0415 - as above

        refuse(config, pytest.UsageError(NO_MESH.format(names=", ".join(sorted(start.registry(config).entries)))))
        items.clear()
