"""Where Helm charts come from: a repository, a registry (``oci://``), or a directory, which needs no network."""

import contextlib
import functools
import json
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.platforms.helm.process import HelmFailed, ask, environment
from pytest_meshcheck.platforms.run_directory import RunDirectory

OCI = "oci://"
NEWEST = 12
"""Versions that a message lists at most: a repository has hundreds."""

RELEASED = re.compile(r"(edge-)?\d+\.\d+\.\d+(-(alpha|beta|rc)[.\d]*)?")
"""Pattern of the name of a folder with the charts of one version."""

LAYOUTS = ("*.tgz", "*/Chart.yaml", "*/*.tgz", "*/*/Chart.yaml")
"""Where charts lie in a directory, from CHART-VERSION.tgz to VERSION/CHART/Chart.yaml."""

BROKEN = (OSError, EOFError, tarfile.TarError, zlib.error, UnicodeError, yaml.YAMLError)
"""Errors of reading a file that is not a chart."""

ALIAS = "meshcheck"
"""Name of the repository in a temporary configuration of helm."""


@dataclass(frozen=True)
class Source:
    """One chart in one version.

    Attributes:
        chart: Its name.
        version: Its version.
        app_version: The version of the installed software; empty if the chart does not name one.
        arguments: The arguments by which helm finds it.
        folder: The folder of a version that it lies in, empty if there is none.
    """

    chart: str
    version: str
    app_version: str
    arguments: tuple[str, ...]
    folder: str = ""

    @property
    def installs(self) -> str:
        """The version of the installed software; charts of a source tree have it in the name of their folder."""
        says = bare(self.app_version or self.version)
        folder = bare(self.folder)
        return folder if RELEASED.fullmatch(folder) and folder not in (says, bare(self.version)) else says


KEYS: tuple[Callable[[Source], str], ...] = (
    lambda source: source.version,
    lambda source: source.app_version,
    lambda source: source.folder,
)
"""The forms of a requested version; the first that matches anything counts."""


@dataclass(frozen=True)
class Charts:
    """The charts of one mesh.

    Attributes:
        default: The URL of the mesh's own repository.
        given: The directory or URL that the user named instead; None for the default.
    """

    default: str
    given: str | None = None

    @property
    def place(self) -> str:
        """The directory or URL."""
        return self.given or self.default

    @property
    def local(self) -> bool:
        """Whether the charts lie in a directory."""
        return "://" not in self.place

    def resolve(self, chart: str, version: str, spelt: str = "") -> Source:
        """A chart in a version, of the chart or of the installed software, with or without a ``v``.

        Args:
            chart: Its name.
            version: The version.
            spelt: How a chart of that version is called, where that differs.

        Raises:
            MeshUnavailable: The place is unreadable, or lacks the chart or version; the message lists what it has.
        """
        if self.place.startswith(OCI):
            return _of_registry(self.place, chart, spelt or version)
        there = [source for source in self._all if source.chart == chart]
        if not there:
            names = ", ".join(sorted({source.chart for source in self._all})) or "none"
            raise MeshUnavailable(f"{self.place} has no chart {chart!r}; it has {names}: check --mesh-charts")
        for key in KEYS:
            for source in there:
                if key(source) and bare(key(source)) in (bare(version), spelt):
                    return source
        raise MeshUnavailable(
            f"{self.place} has no version {version!r} of the chart {chart}; available: {_listed(there)}: "
            "name one with --mesh=NAME@VERSION, or another place with --mesh-charts=DIR"
        )

    @functools.cached_property
    def _all(self) -> Sequence[Source]:
        return tuple(_of_directory(Path(self.place).absolute()) if self.local else _of_repository(self.place))


def bare(version: str) -> str:
    """A version without the ``v`` that some write in front of it."""
    return re.sub(r"^v(?=\d)", "", version)


def _listed(sources: Sequence[Source]) -> str:
    versions = sorted({source.version: source for source in sources}.values(), key=_age, reverse=True)
    listed = ", ".join(_shown(source) for source in versions[:NEWEST])
    return f"{listed} and {len(versions) - NEWEST} older ones" if len(versions) > NEWEST else listed


def _shown(source: Source) -> str:
    also = source.app_version or source.folder
    return f"{source.version} ({also})" if also and bare(also) != bare(source.version) else source.version


def _age(source: Source) -> tuple[list[int], bool]:
    """Sorts versions by their numbers, and a release after its release candidates."""
    release, _, candidate = bare(source.version).partition("-")
    return [int(number) for number in re.findall(r"\d+", release)], not candidate


def _of_directory(directory: Path) -> Iterator[Source]:
    if not directory.is_dir():
        raise MeshUnavailable(f"no directory {directory} with charts: check --mesh-charts")
    for layout in LAYOUTS:
        for path in sorted(directory.glob(layout)):
            metadata = _metadata(path)
            if metadata is not None:
                home = path.parent if path.name == "Chart.yaml" else path
                folder = "" if home.parent == directory else home.parent.name
                yield _source(metadata, folder, str(home))


def _metadata(path: Path) -> dict[str, Any] | None:
    """The content of a Chart.yaml, also in an archive; None if there is none."""
    try:
        text = _archived(path) if path.suffix == ".tgz" else path.read_bytes()
        read = yaml.safe_load(text) if text else None
    except BROKEN as error:
        first = str(error).splitlines()[0]
        raise MeshUnavailable(f"the chart {path} cannot be read: {first}; fetch it again") from error
    if read is None:
        return None
    if not isinstance(read, dict) or not {"name", "version"} <= read.keys():
        raise MeshUnavailable(f"the chart {path} cannot be read: it has no name and version; fetch it again")
    return read


def _archived(path: Path) -> bytes | None:
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            if re.fullmatch(r"(\./)?[^/]+/Chart\.yaml", member.name) and (file := archive.extractfile(member)):
                return file.read()
    return None


def _of_repository(url: str) -> Iterator[Source]:
    """Everything in a repository, by its index; helm is given a configuration that it may write to."""
    with contextlib.closing(RunDirectory()) as folder:
        repositories, cache = str(folder.path / "repositories.yaml"), str(folder.path)
        own = environment(HELM_REPOSITORY_CONFIG=repositories, HELM_REPOSITORY_CACHE=cache)
        try:
            ask("repo", "add", ALIAS, url, env=own)
            listed = json.loads(ask("search", "repo", "--versions", "--devel", "--output", "json", env=own))
        except HelmFailed as error:
            raise MeshUnavailable(
                f"the chart repository {url} cannot be read: {error}; check the network, "
                "or name a directory that has the charts with --mesh-charts=DIR"
            ) from error
    for entry in listed:
        name, version = entry["name"].removeprefix(f"{ALIAS}/"), entry["version"]
        yield Source(name, version, entry["app_version"], (name, "--repo", url, "--version", version))


def _of_registry(url: str, chart: str, version: str) -> Source:
    """A registry does not list versions; it only says whether it has this one."""
    place, failures = f"{url.rstrip('/')}/{chart}", []
    for spelt in (bare(version), f"v{bare(version)}"):
        try:
            metadata = yaml.safe_load(ask("show", "chart", place, "--version", spelt))
            return _source(metadata, "", place, "--version", spelt)
        except HelmFailed as error:
            failures.append(error)
    raise MeshUnavailable(
        f"the registry gives no chart {place} in version {version!r}: {failures[0]}; check the version and the "
        "network, or name a directory that has the charts with --mesh-charts=DIR"
    ) from failures[0]


def _source(metadata: dict[str, Any], folder: str, *arguments: str) -> Source:
    app_version = str(metadata.get("appVersion") or "")
    return Source(str(metadata["name"]), str(metadata["version"]), app_version, arguments, folder)
