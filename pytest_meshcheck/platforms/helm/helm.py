"""Installing, upgrading and uninstalling Helm charts on the cluster of a run, by the user's ``helm``.

It does not decide when a mesh is ready, and needs no network if the charts are in a directory.
"""

import contextlib
import datetime
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_meshcheck.model.errors import Inconclusive, MeshUnavailable
from pytest_meshcheck.platforms.helm.charts import Source
from pytest_meshcheck.platforms.helm.process import INSTALL, HelmFailed, ask, call, environment
from pytest_meshcheck.platforms.run_directory import RunDirectory

OLDEST = (3, 8)
"""The oldest helm that reads registries (``oci://``) without an experimental setting."""

STATES = ("--deployed", "--failed", "--pending", "--uninstalling")
"""States of releases that are listed, also those that an interrupted helm left."""

NOT_FOUND = "release: not found"

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Release:
    """A chart as it is to be installed.

    Attributes:
        name: The name of the release.
        chart: The name of the chart.
        namespace: Its namespace.
        values: What overrules the chart's own values.
        overrides: What overrules those, each the one before: mappings are merged, anything else is replaced, and
            null goes back to no value at all, as for several ``helm -f``.
    """

    name: str
    chart: str
    namespace: str
    values: Values = field(default_factory=dict, hash=False)
    overrides: Sequence[Values] = field(default=(), hash=False)


@dataclass(frozen=True)
class Installed:
    """A release that is there, e.g. ``deployed``, ``failed`` or ``pending-install`` by its status."""

    name: str
    namespace: str
    chart: str
    version: str
    app_version: str
    status: str
    revision: int


@dataclass(frozen=True)
class Helm:
    """helm for one cluster.

    Attributes:
        kubeconfig: Absolute path; several paths are joined as in ``KUBECONFIG``.
        context: The context in it.
    """

    kubeconfig: Path
    context: str

    async def install(self, release: Release, source: Source, *, wait: float | None = None) -> None:
        """Install or change a release, with its namespace.

        Args:
            release: The release.
            source: Its chart.
            wait: Seconds to wait until helm considers it ready; None to return once it is accepted.

        Raises:
            Inconclusive: helm refuses; the message has the reason.
        """
        await self._apply("install", release, source, wait, "--install", "--create-namespace")

    async def upgrade(self, release: Release, source: Source, *, wait: float | None = None) -> None:
        """Change a release that is there into this; arguments and errors as for ``install``."""
        await self._apply("upgrade", release, source, wait)

    async def uninstall(self, name: str, namespace: str, *, wait: float | None = None) -> None:
        """Remove a release; a missing one is no error.

        Raises:
            Inconclusive: helm cannot remove it; the message has the reason.
        """
        try:
            await self._call("uninstall", name, f"--namespace={namespace}", *_patience(wait))
        except HelmFailed as error:
            if NOT_FOUND not in str(error):
                raise Inconclusive(f"helm cannot uninstall {name} in {namespace}: {error}") from error

    async def releases(self, namespace: str | None = None) -> list[Installed]:
        """The releases in a namespace, by default in all namespaces.

        Raises:
            Inconclusive: helm cannot list them.
        """
        where = f"--namespace={namespace}" if namespace else "--all-namespaces"
        try:
            listed = json.loads(await self._call("list", where, *STATES, "--max=0", "--output=json"))
        except HelmFailed as error:
            raise Inconclusive(f"helm cannot list the releases in {namespace or 'the cluster'}: {error}") from error
        return [_installed(entry) for entry in listed]

    async def values(self, name: str, namespace: str) -> dict[str, Any]:
        """The values of a release that override the values of its chart.

        Raises:
            Inconclusive: There is no such release, or helm fails.
        """
        try:
            values = await self._call("get", "values", name, f"--namespace={namespace}", "--output=json")
        except HelmFailed as error:
            raise Inconclusive(f"helm cannot read the values of {name} in {namespace}: {error}") from error
        return json.loads(values) or {}

    async def _apply(self, verb: str, release: Release, source: Source, wait: float | None, *options: str) -> None:
        with _files([release.values, *release.overrides]) as files:
            named = [f"--values={path}" for path in files]
            # without values helm reuses the values of the last revision
            arguments = [f"--namespace={release.namespace}", "--reset-values", *options, *_patience(wait), *named]
            try:
                await self._call("upgrade", release.name, *source.arguments, *arguments)
            except HelmFailed as error:
                what = f"{release.name} ({source.chart} {source.version}) in {release.namespace}"
                raise Inconclusive(f"helm cannot {verb} {what}: {error}") from error

    async def _call(self, *arguments: str) -> str:
        # --kubeconfig takes one file only
        env = environment(KUBECONFIG=str(self.kubeconfig))
        return await call(*arguments, f"--kube-context={self.context}", env=env)


def require() -> None:
    """Make sure that helm can be called.

    Raises:
        MeshUnavailable: It is missing, does not work or is too old; the message has the next step.
    """
    try:
        answer = ask("version", "--short")
    except HelmFailed as error:
        raise MeshUnavailable(f"helm does not work: {error}: reinstall it ({INSTALL})") from error
    found = re.search(r"v(\d+)\.(\d+)", answer)
    if found is None:
        raise MeshUnavailable(f"helm reports {answer.strip()!r} instead of a version: reinstall it ({INSTALL})")
    version = int(found[1]), int(found[2])
    if version < OLDEST:
        is_, wanted = (".".join(map(str, numbers)) for numbers in (version, OLDEST))
        raise MeshUnavailable(f"helm {is_} is too old, {wanted} or newer is needed: update it ({INSTALL})")


def _patience(wait: float | None) -> list[str]:
    return [] if wait is None else ["--wait", f"--timeout={wait:.3f}s"]


@contextlib.contextmanager
def _files(layers: Sequence[Values]) -> Iterator[list[Path]]:
    """Files with values, for our eyes only, as values can hold keys; JSON, which YAML is a superset of."""
    with contextlib.closing(RunDirectory()) as folder:
        files = [folder.path / f"{number}.json" for number in range(len(layers))]
        for path, layer in zip(files, layers, strict=True):
            path.touch(mode=0o600)
            path.write_text(json.dumps(layer, default=_plain), "utf-8")
        yield files


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, datetime.date):
        return value.isoformat()  # helm takes an unquoted date for text
    raise TypeError(f"a chart value cannot be of type {type(value).__name__}: {value!r}")


def _installed(entry: Mapping[str, Any]) -> Installed:
    named = re.fullmatch(r"(.+?)-(v?\d+\..*)", entry["chart"])
    chart, version = named.groups() if named else (entry["chart"], "")
    return Installed(
        entry["name"],
        entry["namespace"],
        chart,
        version,
        entry["app_version"],
        entry["status"],
        int(entry["revision"]),
    )
