"""Options: each is ``--mesh...`` on the command line with a twin in the ini file, which the command line overrules."""

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
ARTIFACTS = ("on-violation", "always", "never")
UPGRADE_BY = ("in-place", "canary")


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        flag: As on the command line; the ini twin is the same without dashes in front, underscores for the others.
        help: What ``pytest --help`` says.
        parse: From the given text to the value; a ValueError says what is valid.
        default: The value where nothing is given.
        metavar: The word for its value in the help; None for a switch, which takes no value and is not parsed.
        many: It may be given several times.
    """

    flag: str
    help: str
    parse: Callable[[str], Any]
    default: Any
    metavar: str | None
    many: bool = False

    @property
    def ini_type(self) -> Literal["args", "bool", "string"]:
        """How pytest reads the ini twin."""
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
            raise ValueError(f"valid are {', '.join(valid)}")
        return text.lower()

    return parse


def _scale(text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not 0.1 <= scale <= 100:
        raise ValueError("a number from 0.1 to 100 is valid")
    return scale


def _directory(text: str) -> Path:
    path = Path(text)
    nearest = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    if not nearest.is_dir():
        raise ValueError(f"{nearest} is not a directory; name another one")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ValueError(f"{nearest} is not writable; name another directory")
    return path


def _file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise ValueError("there is no such file")
    return path


def _folder(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise ValueError("there is no such directory")
    return path


def _charts(text: str) -> str:
    if "://" not in text:
        if not Path(text).is_dir():
            raise ValueError(
                "there is no such directory; valid is a directory, or a URL of https://, http:// or oci://"
            )
        return text
    scheme, _, rest = text.partition("://")
    if scheme not in SCHEMES:
        raise ValueError(f"valid are a directory and URLs of {', '.join(f'{valid}://' for valid in SCHEMES)}")
    if "@" in rest.partition("/")[0]:
        # the URL is in reports and in the arguments of helm
        raise ValueError("a URL is not to hold credentials; fetch the charts into a directory and name that")
    return text


ON_CLUSTER = {
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
"""Options, by their ini twins, that are about runs on a cluster."""

OF_WHOLE_RUN = {"mesh", "mesh_baseline", "mesh_upgrade_to", "mesh_upgrade_by", "mesh_keep"}
"""Options, by their ini twins, that mean nothing to one check, or are about which mesh it judges."""

PATHS = (_directory, _folder, _file, _charts)
"""Values that are paths, unless they are URLs; in the ini file they begin where it lies, as everywhere in pytest."""

OPTIONS = (
    Option("--mesh", "Mesh to judge, several one after the other.", _mesh, (), "NAME[@VERSION]", many=True),
    Option("--mesh-level", f"Checks to run: {', '.join(LEVELS)} and above.", _one_of(*LEVELS), "may", "LEVEL"),
    Option("--mesh-expectations", "Known violations (TOML).", _file, None, "FILE"),
    Option("--mesh-baseline", "A report.json to compare with.", _file, None, "FILE"),
    Option("--mesh-upgrade-to", "Version to move the mesh to, and to judge it in again.", str, None, "VERSION"),
    Option("--mesh-upgrade-by", f"How: {', '.join(UPGRADE_BY)}.", _one_of(*UPGRADE_BY), UPGRADE_BY[0], "WAY"),
    Option("--mesh-report", "Where reports go.", _directory, Path("meshcheck-report"), "DIR"),
    Option(
        "--mesh-artifacts",
        f"Keep evidence {', '.join(ARTIFACTS)}; an inconclusive check is kept like a violation.",
        _one_of(*ARTIFACTS),
        ARTIFACTS[0],
        "WHEN",
    ),
    Option("--mesh-timeout-scale", "Multiplies every patience and tolerance.", _scale, 1.0, "FACTOR"),
    Option("--mesh-kubeconfig", "Run on the cluster of this kubeconfig.", _file, None, "FILE"),
    Option("--mesh-context", "Run on the cluster of this context; by default on kind.", str, None, "NAME"),
    Option("--mesh-kind-config", "Configuration of the kind cluster.", _file, None, "FILE"),
    Option("--mesh-kind-load", "Image of this machine for the kind cluster.", str, (), "IMAGE", many=True),
    Option("--mesh-kind-image", "Node image of the kind cluster.", str, None, "IMAGE"),
    Option("--mesh-keep", f"Keep the kind cluster: {', '.join(KEEP)}.", _one_of(*KEEP), KEEP[0], "WHEN"),
    Option("--mesh-probe-image", "A built image of the probe, which the nodes can pull.", str, None, "IMAGE"),
    Option("--mesh-probe-base", "What the probe image is built from.", str, PROBE_BASE, "IMAGE"),
    Option("--mesh-probe-wheels", "Where packages for the probe image lie, as wheels.", _folder, None, "DIR"),
    Option("--mesh-charts", "Where the Helm charts of the mesh come from.", _charts, None, "DIR|URL"),
    Option("--mesh-values", "Values for the Helm charts of the mesh, by chart (YAML).", _file, None, "FILE"),
    Option("--mesh-installed", "Judge the mesh that is in the cluster already.", bool, False, None),
    Option("--mesh-allow-disruption", "Disrupt also a mesh that was there already.", bool, False, None),
)


@dataclass(frozen=True)
class Settings:
    """What the options say; a field per option, ``mesh`` being the meshes."""

    mesh: tuple[MeshName, ...]
    mesh_level: str
    mesh_expectations: Path | None
    mesh_baseline: Path | None
    mesh_upgrade_to: str | None
    mesh_upgrade_by: str
    mesh_report: Path
    mesh_artifacts: str
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
    mesh_allow_disruption: bool


def again(config: pytest.Config, settings: Settings, *, on_cluster: bool) -> tuple[str, ...]:
    """The options by which one check is run as it was in this run, as they are written on a command line."""
    return tuple(
        text
        for option in OPTIONS
        if option.ini not in OF_WHOLE_RUN and (on_cluster or option.ini not in ON_CLUSTER)
        if config.getoption(option.ini) is not None or getattr(settings, option.ini) != option.default
        for text in _again(option, getattr(settings, option.ini))
    )


def _again(option: Option, value: Any) -> tuple[str, ...]:
    """An option as it is written on a command line."""
    if option.metavar is None:
        return (option.flag,)
    return tuple(f"{option.flag}={one}" for one in (value if option.many else (value,)))


def add(parser: pytest.Parser) -> None:
    """Declare the options; costs nothing more than that."""
    group = parser.getgroup("meshcheck", "service mesh conformance")
    for option in OPTIONS:
        how: dict[str, Any] = {"action": "append" if option.many else "store", "metavar": option.metavar}
        if option.metavar is None:
            how = {"action": "store_true"}
        group.addoption(option.flag, dest=option.ini, default=None, help=f"{option.help} (ini: {option.ini})", **how)
        parser.addini(option.ini, option.help, type=option.ini_type, default=None)
    group.addoption("--mesh-list", action="store_true", dest="mesh_list", help="List the meshes there are, and end.")


def behind_a_space(config: pytest.Config) -> list[tuple[str, str]]:
    """The options of the command line whose value is a path that exists, and stands behind a space."""
    flags = {option.flag for option in OPTIONS if option.metavar is not None}
    given = [str(argument) for argument in config.invocation_params.args]
    return [pair for pair in pairwise(given) if pair[0] in flags and (config.invocation_params.dir / pair[1]).exists()]


def settings(config: pytest.Config) -> Settings:
    """The settings of this run.

    Raises:
        pytest.UsageError: A value is not valid; the message lists the valid ones.
    """
    return Settings(**{option.ini: _value(config, option) for option in OPTIONS})


def _value(config: pytest.Config, option: Option) -> Any:
    where, folder, given = option.flag, Path(), config.getoption(option.ini)
    if given is None:
        (where, folder), given = _ini(config, option), config.getini(option.ini)
        if not given:
            return option.default
    if option.metavar is None:
        return bool(given)
    values = tuple(_parsed(option, where, folder, text) for text in (given if option.many else [given]))
    return values if option.many else values[0]


def _ini(config: pytest.Config, option: Option) -> tuple[str, Path]:
    """Where the ini twin is set, for messages, and the folder that paths in it begin from."""
    file = config.inipath
    return (f"{file}: {option.ini}", file.parent) if file else (f"ini {option.ini}", Path())


def _parsed(option: Option, where: str, folder: Path, text: str) -> Any:
    try:
        return option.parse(str(folder / text) if option.parse in PATHS and "://" not in text else text)
    except ValueError as error:
        raise pytest.UsageError(f"{where}={text}: {error}.") from error
