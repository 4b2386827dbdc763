"""Options: each is ``--mesh...`` on the command line and has a counterpart in the ini file; the command line wins."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest

LEVELS = ("must", "should", "may")
KEEP = ("never", "on-failure", "always")
PROBE_BASE = "python:3.11-slim"
SCHEMES = ("https", "http", "oci")
CHART_SOURCES = f"valid values are a directory or a URL ({', '.join(f'{scheme}://' for scheme in SCHEMES)})"
ARTIFACTS = ("on-violation", "always", "never")
UPGRADE_BY = ("in-place", "canary")


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        flag: The option on the command line; in the ini file without leading dashes, and with underscores.
        help: Its text in ``pytest --help``.
        parse: Text to value; raises a ValueError that lists the valid values.
        default: The value if the option is not given.
        metavar: The placeholder of its value in the help; None for a switch, which takes no value.
        many: Whether it can be repeated.
    """

    flag: str
    help: str
    parse: Callable[[str], Any]
    default: Any
    metavar: str | None
    many: bool = False

    @property
    def ini_type(self) -> Literal["args", "bool", "string"]:
        """The type of the ini value for pytest."""
        if self.metavar is None:
            return "bool"
        return "args" if self.many else "string"

    @property
    def ini(self) -> str:
        """The name in the ini file."""
        return self.flag.removeprefix("--").replace("-", "_")


@dataclass(frozen=True)
class MeshName:
    """``NAME[@VERSION]``."""

    name: str
    version: str | None

    def __str__(self) -> str:
        return f"{self.name}@{self.version}" if self.version else self.name


def _mesh(text: str) -> MeshName:
    name, at, version = text.partition("@")
    if not name or (at and not version):
        raise ValueError("write NAME or NAME@VERSION")
    return MeshName(name, version or None)


def _one_of(*valid: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in valid:
            raise ValueError(f"valid values are {', '.join(valid)}")
        return text.lower()

    return parse


def _scale(text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not 0.1 <= scale <= 100:
        raise ValueError("valid values are numbers from 0.1 to 100")
    return scale


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86400:
        raise ValueError("valid values are numbers of seconds from 0 to 86400")
    return seconds


def _directory(text: str) -> Path:
    path = Path(text)
    nearest = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    if not nearest.is_dir():
        raise ValueError(f"{nearest} is not a directory; choose another one")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ValueError(f"{nearest} is not writable; choose another directory")
    return path


def _file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise ValueError("no such file")
    return path


def _folder(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise ValueError("no such directory")
    return path


def _charts(text: str) -> str:
    if "://" not in text:
        if not Path(text).is_dir():
            raise ValueError(f"no such directory; {CHART_SOURCES}")
        return text
    scheme, _, rest = text.partition("://")
    if scheme not in SCHEMES:
        raise ValueError(CHART_SOURCES)
    if "@" in rest.partition("/")[0]:
        # the URL would appear in reports and in helm's arguments
        raise ValueError("the URL contains credentials; download the charts and pass the directory instead")
    return text


def _manifests(text: str) -> Path:
    path = Path(text)
    if text != "-" and not path.exists():
        raise ValueError("no such file or directory; - reads standard input")
    return path


ON_CLUSTER = {
    "mesh_manifests",
    "mesh_manifests_expect",
    "mesh_manifests_only",
    "mesh_manifests_budget",
    "mesh_kubeconfig",
    "mesh_context",
    "mesh_kind_config",
    "mesh_kind_load",
    "mesh_kind_image",
    "mesh_probe_image",
    "mesh_probe_base",
    "mesh_probe_wheels",
    "mesh_charts",
    "mesh_values",
    "mesh_installed",
    "mesh_allow_disruption",
}
"""Options, by ini name, that concern only runs on a cluster."""

OF_WHOLE_RUN = {
    "mesh",
    "mesh_slow",
    "mesh_baseline",
    "mesh_upgrade_to",
    "mesh_upgrade_by",
    "mesh_keep",
    "mesh_manifests_budget",
}
"""Options, by ini name, that do not affect a single check, or that select the mesh or the lane."""

PATHS = (_directory, _folder, _file, _charts, _manifests)
"""Parsers of paths (or URLs); a path in the ini file is relative to that file, as everywhere in pytest."""

OPTIONS = (
    Option("--mesh", "Mesh to test; repeat to test several in turn.", _mesh, (), "NAME[@VERSION]", many=True),
    Option(
        "--mesh-level", f"Run checks of this level and above: {', '.join(LEVELS)}.", _one_of(*LEVELS), "may", "LEVEL"
    ),
    Option("--mesh-slow", "Run the checks of the slow lane too, which take minutes.", bool, False, None),
    Option("--mesh-expectations", "TOML file of known violations.", _file, None, "FILE"),
    Option("--mesh-baseline", "Compare the results with this report.json.", _file, None, "FILE"),
    Option(
        "--mesh-upgrade-to",
        "Upgrade the mesh to this version mid-run and repeat every check.",
        str,
        None,
        "VERSION",
    ),
    Option(
        "--mesh-upgrade-by",
        f"Upgrade strategy: {', '.join(UPGRADE_BY)}.",
        _one_of(*UPGRADE_BY),
        UPGRADE_BY[0],
        "STRATEGY",
    ),
    Option("--mesh-report", "Directory for reports.", _directory, Path("meshcheck-report"), "DIR"),
    Option(
        "--mesh-artifacts",
        f"When to keep evidence: {', '.join(ARTIFACTS)}; an inconclusive check counts as a violation.",
        _one_of(*ARTIFACTS),
        ARTIFACTS[0],
        "WHEN",
    ),
    Option(
        "--mesh-stand-in",
        "What stands in for a part of the mesh, for the report: e.g. 'Envoy 1.37 for cilium-envoy'; repeatable.",
        str,
        (),
        "TEXT",
        many=True,
    ),
    Option("--mesh-timeout-scale", "Multiply all time limits and tolerances by this.", _scale, 1.0, "FACTOR"),
    Option("--mesh-kubeconfig", "Run on the cluster of this kubeconfig.", _file, None, "FILE"),
    Option("--mesh-context", "Run on the cluster of this context (default: a kind cluster).", str, None, "NAME"),
    Option("--mesh-kind-config", "Configuration file for the kind cluster.", _file, None, "FILE"),
    Option("--mesh-kind-load", "Load this local image into the kind cluster; repeatable.", str, (), "IMAGE", many=True),
    Option("--mesh-kind-image", "Node image for the kind cluster.", str, None, "IMAGE"),
    Option("--mesh-keep", f"When to keep the kind cluster: {', '.join(KEEP)}.", _one_of(*KEEP), KEEP[0], "WHEN"),
    Option("--mesh-probe-image", "Prebuilt probe image, which the nodes can pull.", str, None, "IMAGE"),
    Option("--mesh-probe-base", "Base image of the probe image.", str, PROBE_BASE, "IMAGE"),
    Option("--mesh-probe-wheels", "Directory of wheels to build the probe image from.", _folder, None, "DIR"),
    Option("--mesh-charts", "Directory or URL of the mesh's Helm charts.", _charts, None, "DIR|URL"),
    Option("--mesh-values", "YAML file of Helm values, by chart.", _file, None, "FILE"),
    Option(
        "--mesh-installed",
        "Test the mesh already installed in the cluster; install nothing.",
        bool,
        False,
        None,
    ),
    Option(
        "--mesh-manifests",
        "Put these Kubernetes manifests on trial: a file, a directory, or - for standard input; repeatable.",
        _manifests,
        (),
        "PATH",
        many=True,
    ),
    Option("--mesh-manifests-expect", "TOML file of what you expect of --mesh-manifests.", _file, None, "FILE"),
    Option(
        "--mesh-manifests-only",
        "Try the workloads and services of --mesh-manifests whose names match; repeatable.",
        str,
        (),
        "PATTERN",
        many=True,
    ),
    Option(
        "--mesh-manifests-budget",
        "Seconds for taking out the mesh resources of --mesh-manifests in turn.",
        _seconds,
        180.0,
        "SECONDS",
    ),
    Option(
        "--mesh-allow-disruption",
        "Allow disruptive checks on a mesh that was already installed.",
        bool,
        False,
        None,
    ),
)


@dataclass(frozen=True)
class Settings:
    """The values of the options, one field per option."""

    mesh: tuple[MeshName, ...]
    mesh_level: str
    mesh_slow: bool
    mesh_expectations: Path | None
    mesh_baseline: Path | None
    mesh_upgrade_to: str | None
    mesh_upgrade_by: str
    mesh_report: Path
    mesh_artifacts: str
    mesh_stand_in: tuple[str, ...]
    mesh_timeout_scale: float
    mesh_kubeconfig: Path | None
    mesh_context: str | None
    mesh_kind_config: Path | None
    mesh_kind_load: tuple[str, ...]
    mesh_kind_image: str | None
    mesh_keep: str
    mesh_probe_image: str | None
    mesh_probe_base: str
    mesh_probe_wheels: Path | None
    mesh_charts: str | None
    mesh_values: Path | None
    mesh_installed: bool
    mesh_manifests: tuple[Path, ...]
    mesh_manifests_expect: Path | None
    mesh_manifests_only: tuple[str, ...]
    mesh_manifests_budget: float
    mesh_allow_disruption: bool


def again(config: pytest.Config, settings: Settings, *, on_cluster: bool) -> tuple[str, ...]:
    """The command-line options that reproduce one check under the settings of this run."""
    return tuple(
        text
        for option in OPTIONS
        if option.ini not in OF_WHOLE_RUN and (on_cluster or option.ini not in ON_CLUSTER)
        if config.getoption(option.ini) is not None or getattr(settings, option.ini) != option.default
        for text in _again(option, getattr(settings, option.ini))
    )


def _again(option: Option, value: Any) -> tuple[str, ...]:
    """An option and its value as command-line arguments."""
    if option.metavar is None:
        return (option.flag,)
    return tuple(f"{option.flag}={one}" for one in (value if option.many else (value,)))


def add(parser: pytest.Parser) -> None:
    """Declare the options, and import nothing."""
    group = parser.getgroup("meshcheck", "service mesh conformance")
    for option in OPTIONS:
        how: dict[str, Any] = {"action": "append" if option.many else "store", "metavar": option.metavar}
        if option.metavar is None:
            how = {"action": "store_true"}
        group.addoption(option.flag, dest=option.ini, default=None, help=f"{option.help} (ini: {option.ini})", **how)
        parser.addini(option.ini, option.help, type=option.ini_type, default=None)
    group.addoption("--mesh-list", action="store_true", dest="mesh_list", help="List the available meshes and exit.")


def behind_a_space(config: pytest.Config) -> list[tuple[str, str]]:
    """Options on the command line with an existing path as value, separated by a space instead of ``=``."""
    flags = {option.flag for option in OPTIONS if option.metavar is not None}
    given = [str(argument) for argument in config.invocation_params.args]
    return [pair for pair in pairwise(given) if pair[0] in flags and (config.invocation_params.dir / pair[1]).exists()]


def settings(config: pytest.Config) -> Settings:
    """The settings of this run.

    Raises:
        pytest.UsageError: A value is invalid; the message lists the valid ones.
    """
    selected = _value(config, OPTIONS[0])
    # without a mesh, the ini file of an ordinary run may name files that only other runs have
    asked = [option for option in OPTIONS if selected or config.getoption(option.ini) is not None]
    defaults = {option.ini: option.default for option in OPTIONS}
    return Settings(**defaults | {option.ini: _value(config, option) for option in asked})


def _value(config: pytest.Config, option: Option) -> Any:
    where, folder, given = option.flag, Path(), config.getoption(option.ini)
    if given is None:
        where, folder = _ini(config, option)
        given = _of_ini(config, option, where)
        if not given:
            return option.default
    if option.metavar is None:
        return bool(given)
    values = tuple(_parsed(option, where, folder, text) for text in (given if option.many else [given]))
    return values if option.many else values[0]


def _of_ini(config: pytest.Config, option: Option, where: str) -> Any:
    """The value in the ini file; UsageError if it is of another type, which pytest before 9.2 does not say so."""
    try:
        return config.getini(option.ini)
    except (TypeError, ValueError) as error:
        raise pytest.UsageError(f"{where}: {error}.") from error


def _ini(config: pytest.Config, option: Option) -> tuple[str, Path]:
    """The place of the option in the ini file, for messages, and the base of its relative paths."""
    file = config.inipath
    return (f"{file}: {option.ini}", file.parent) if file else (f"ini {option.ini}", Path())


def _parsed(option: Option, where: str, folder: Path, text: str) -> Any:
    if not isinstance(text, str):
        raise pytest.UsageError(f"{where}={text!r}: expected a single string.")
    try:
        return option.parse(str(folder / text) if option.parse in PATHS and "://" not in text else text)
    except ValueError as error:
        raise pytest.UsageError(f"{where}={_without_credentials(text)}: {error}.") from None
    except OSError as error:  # a folder that is not readable, or a name that is too long
        raise pytest.UsageError(f"{where}={_without_credentials(text)}: {error.strerror}.") from None


def _without_credentials(text: str) -> str:
    """A value without credentials, for messages: a URL without its user part."""
    scheme, separator, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"
