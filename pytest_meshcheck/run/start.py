"""Starts a run: from the options to the selected meshes, and the hooks that test them."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_meshcheck.checks.expectations import ExpectationsError, read_expectations
from pytest_meshcheck.meshes.base import Mesh, PlatformKind
from pytest_meshcheck.meshes.registry import MeshRequest, Registry, RegistryError
from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.options import MeshName, Settings
from pytest_meshcheck.platforms.local.machine import refuse_unfit
from pytest_meshcheck.probe.process.limits import open_as_many_as_allowed
from pytest_meshcheck.report.baseline import BaselineUnreadable, load_baseline
from pytest_meshcheck.report.model import Report
from pytest_meshcheck.run.hooks import Run
from pytest_meshcheck.run.manifest_trial import ManifestTrial, read
from pytest_meshcheck.run.own_tests import OwnTests
from pytest_meshcheck.run.score import RunResults
from pytest_meshcheck.run.upgrade import Upgrade

if TYPE_CHECKING:
    from pytest_meshcheck.run.cluster import Cluster


def registry(config: pytest.Config) -> Registry:
    """The available meshes; UsageError if two have the same name."""
    try:
        meshes = Registry.installed()
        config.hook.pytest_meshcheck_register_mesh(registry=meshes)
    except RegistryError as error:
        raise pytest.UsageError(str(error)) from error
    return meshes


def list_meshes(config: pytest.Config) -> int:
    """Print the available meshes and the packages that provide them."""
    for entry in sorted(registry(config).entries.values(), key=lambda entry: entry.name):
        sys.stdout.write(f"{entry.name}  from {entry.origin}\n")
    return 0


def start(config: pytest.Config, settings: Settings) -> None:
    """Turn this pytest run into a conformance run.

    Raises:
        pytest.UsageError: A mesh, the expectations or chart values are invalid; nothing was created yet.
    """
    _need_pytest_asyncio(config)
    upgrade = Upgrade.asked_for(config, settings)
    manifests = read(config, settings)
    adapters = _adapters(config, settings, upgrade)
    trial = ManifestTrial.of(config, settings, adapters, manifests)
    baseline = _baseline(settings)
    cluster = _cluster(config, settings, adapters)
    trial.look_before(config, cluster.named if cluster else None)
    results = None
    if not hasattr(config, "workerinput"):
        results = RunResults(settings, adapters, baseline, upgrade)
        config.pluginmanager.register(results, "meshcheck-results")
        if cluster is not None:
            cluster.report_to(results)
    open_as_many_as_allowed()
    run = Run(config, settings, adapters, results, upgrade, cluster=cluster)
    config.pluginmanager.register(run, "meshcheck-run")
    config.pluginmanager.register(run.judging, "meshcheck-judging")
    config.pluginmanager.register(trial, "meshcheck-trial")
    config.pluginmanager.register(OwnTests(settings, adapters), "meshcheck-own-tests")
    config.pluginmanager.import_plugin("pytest_meshcheck.run.fixtures")


def _adapters(config: pytest.Config, settings: Settings, upgrade: Upgrade | None) -> dict[MeshName, Mesh]:
    """The adapters of the run; UsageError if one of them, or all of them together, cannot be used here."""
    meshes = registry(config)
    names = (upgrade.before, upgrade.after) if upgrade else tuple(dict.fromkeys(settings.mesh))
    requested = MeshRequest(
        None,
        settings.mesh_timeout_scale,
        config.hook,
        charts=settings.mesh_charts,
        installed=settings.mesh_installed,
        upgrade_to=settings.mesh_upgrade_to,
        values=_chart_values(settings),
    )
    try:
        adapters = {name: meshes.create(name.name, replace(requested, version=name.version)) for name in names}
        if any(adapter.runs_on is PlatformKind.PROCESSES for adapter in adapters.values()):
            refuse_unfit(hot_restart=upgrade is not None)
    except (RegistryError, MeshUnavailable) as error:
        raise pytest.UsageError(str(error)) from error
    _refuse_unknown_charts(settings, requested.values, adapters.values())
    if upgrade:
        upgrade.refuse(adapters)
    _refuse_twins(adapters)
    return adapters


def _baseline(settings: Settings) -> Report | None:
    """The report to compare with, if one is named; UsageError if it, or the expectations, cannot be read."""
    try:
        if settings.mesh_expectations:
            read_expectations(settings.mesh_expectations)
        return load_baseline(settings.mesh_baseline) if settings.mesh_baseline else None
    except (ExpectationsError, BaselineUnreadable) as error:
        raise pytest.UsageError(str(error)) from error


def _need_pytest_asyncio(config: pytest.Config) -> None:
    """UsageError if pytest-asyncio is not loaded as a plugin; an import alone does not register it."""
    plugin = "pytest_asyncio.plugin"
    if not any(getattr(loaded, "__name__", "") == plugin for loaded in config.pluginmanager.get_plugins()):
        raise pytest.UsageError(
            f"--mesh needs pytest-asyncio, which is not loaded: omit -p no:asyncio, or add -p {plugin} where "
            "plugins are not loaded automatically (PYTEST_DISABLE_PLUGIN_AUTOLOAD)"
        )


def _chart_values(settings: Settings) -> Mapping[str, Mapping[str, Any]]:
    """The Helm values by chart; UsageError if they are invalid."""
    if settings.mesh_values is None:
        return {}
    from pytest_meshcheck.platforms.helm.values import (  # noqa: PLC0415 - other runs need no YAML
        ValuesUnreadable,
        read_values,
    )

    try:
        return read_values(settings.mesh_values)
    except ValuesUnreadable as error:
        raise pytest.UsageError(f"--mesh-values: {error}") from error


def _refuse_unknown_charts(settings: Settings, values: Mapping[str, object], adapters: Iterable[Mesh]) -> None:
    """UsageError for values of a chart that none of the meshes has."""
    if not values:
        return
    from pytest_meshcheck.platforms.helm.values import unknown_charts  # noqa: PLC0415 - as above

    charts = [chart for adapter in adapters for chart in adapter.charts]
    if unknown := unknown_charts(values, charts):
        raise pytest.UsageError(f"--mesh-values: {settings.mesh_values}: {unknown}")


def _cluster(config: pytest.Config, settings: Settings, adapters: Mapping[MeshName, Mesh]) -> "Cluster | None":
    """The cluster of the run if one of the meshes needs it; UsageError if it cannot be provided."""
    if all(adapter.runs_on is PlatformKind.PROCESSES for adapter in adapters.values()):
        return None
    from pytest_meshcheck.run.cluster import Cluster  # noqa: PLC0415 - runs on local processes need no client

    try:
        cluster = Cluster.of(config, settings, adapters)
    except MeshUnavailable as error:
        raise pytest.UsageError(str(error)) from error
    config.pluginmanager.register(cluster, "meshcheck-cluster")
    return cluster


def _refuse_twins(adapters: Mapping[MeshName, Mesh]) -> None:
    """UsageError for two names of the same mesh and version, which would share a report."""
    seen: dict[str, MeshName] = {}
    for name, adapter in adapters.items():
        mesh = f"{adapter.name} {adapter.version}"
        if mesh in seen:
            raise pytest.UsageError(f"--mesh={seen[mesh]} and --mesh={name} are the same mesh, {mesh}; name it once")
        seen[mesh] = name
