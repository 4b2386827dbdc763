"""The probe's image: built once for each content, from a base image that has Python.

A build has no network: the packages are brought in as wheels.
"""

import contextlib
import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest_meshcheck
from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.platforms.containers import last_lines
from pytest_meshcheck.platforms.kind.image_build import build, containers, run
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import PYTHON
from pytest_meshcheck.platforms.run_directory import RunDirectory

REPOSITORY = "localhost/meshcheck/probe"
"""Names no registry: such an image is never pulled."""

PACKAGES = ("cryptography", "grpcio", "h11", "h2", "msgspec", "wsproto")
"""The packages of a probe, in the versions installed here, so that both ends of a control stream are the same."""

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""An image's architecture, and the machine in the names of wheels."""

GLIBCS = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014")

DOCKERFILE = """\
FROM {base}
USER 0
COPY wheels /opt/wheels
RUN python3 -m venv /opt/meshcheck \\
 && {python} -m pip install --no-cache-dir --no-index --find-links /opt/wheels {packages} \\
 && rm -rf /opt/wheels
COPY pytest_meshcheck /opt/meshcheck/src/pytest_meshcheck
ENV PYTHONPATH=/opt/meshcheck/src PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
RUN {python} -m compileall -q /opt/meshcheck/src
USER 65532
"""


@dataclass(frozen=True)
class Recipe:
    """The contents of an image.

    Attributes:
        base: The base image, with ``python3``, its ``venv`` and pip.
        python: The base image's version of Python, e.g. ``3.11``.
        architecture: The base image's, e.g. ``amd64``.
    """

    base: str
    python: str
    architecture: str

    @property
    def dockerfile(self) -> str:
        """The Dockerfile."""
        return DOCKERFILE.format(base=self.base, python=PYTHON, packages=" ".join(requirements()))

    @property
    def tag(self) -> str:
        """The image's name; it changes with whatever goes into it."""
        digest = hashlib.sha256(f"{self.dockerfile}\0{self.python}\0{self.architecture}".encode())
        for path in sources():
            digest.update(f"\0{path.relative_to(_package())}\0".encode() + path.read_bytes())
        return f"{REPOSITORY}:{digest.hexdigest()[:12]}"


def requirements() -> list[str]:
    """The packages with their versions."""
    return [f"{name}=={version(name)}" for name in PACKAGES]


def sources() -> Iterator[Path]:
    """The modules of the probe."""
    yield _package() / "__init__.py"
    yield from sorted((_package() / "probe").rglob("*.py"))


def probe_image(base: str, wheels: Path | None = None) -> str:
    """The name of the probe's image on this machine, built unless it is there; arguments and errors as for ``Plan``."""
    with contextlib.closing(Plan.of(base, wheels)) as plan:
        return plan.image()


@dataclass
class Plan:
    """An image for which everything is on this machine; only the build is left, unless it has been built.

    Attributes:
        recipe: Its contents.
        folder: The packages for the build; None where the image is there already.
    """

    recipe: Recipe
    folder: RunDirectory | None = None

    @classmethod
    def of(cls, base: str, wheels: Path | None = None) -> "Plan":
        """Fetch missing packages.

        Args:
            base: The base image.
            wheels: A directory to take packages from; None for the package index.

        Raises:
            MeshUnavailable: What builds it is missing, or the base image or a package cannot be had.
        """
        plan = cls(Recipe(base, *_inspected(base)))
        if containers("image", "inspect", plan.recipe.tag).returncode:
            plan.folder = RunDirectory()
            try:
                _download(plan.recipe, plan.folder.path / "wheels", wheels)
            except BaseException:
                plan.close()
                raise
        return plan

    def image(self) -> str:
        """The image's name, built unless it is there; MeshUnavailable where the build fails."""
        if self.folder is not None:
            _build(self.recipe, self.folder.path)
        return self.recipe.tag

    def close(self) -> None:
        """Remove the packages."""
        if self.folder is not None:
            self.folder.close()


def _inspected(base: str) -> tuple[str, str]:
    """Version of Python and architecture of a base image, which is pulled if missing."""
    asked = "import sys; print('%d.%d' % sys.version_info[:2])"
    ran = containers("run", "--rm", "--network=none", "--entrypoint", "python3", base, "-c", asked)
    if ran.returncode:
        raise MeshUnavailable(
            f"the base image {base} of the probe cannot be used: {last_lines(ran)}; "
            "name one that has python3 with --mesh-probe-base=IMAGE, "
            "or a built probe image with --mesh-probe-image=IMAGE"
        )
    inspected = json.loads(containers("image", "inspect", base).stdout)
    return ran.stdout.strip(), inspected[0]["Architecture"]


def _build(recipe: Recipe, folder: Path) -> None:
    for path in sources():
        target = folder / "pytest_meshcheck" / path.relative_to(_package())
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (folder / "Dockerfile").write_text(recipe.dockerfile, "utf-8")
    build(folder, recipe.tag)


def _download(recipe: Recipe, folder: Path, wheels: Path | None) -> None:
    machine = MACHINES.get(recipe.architecture, recipe.architecture)
    platforms = [f"--platform={glibc}_{machine}" for glibc in GLIBCS]
    target = ["--only-binary=:all:", f"--python-version={recipe.python}", "--implementation=cp", *platforms]
    source = ["--no-index", f"--find-links={wheels.absolute()}"] if wheels else ["--retries=2"]
    quietly = ["--quiet", "--disable-pip-version-check", f"--dest={folder}"]
    ran = run([sys.executable, "-m", "pip", "download", *quietly, *source, *target, *requirements()])
    if ran.returncode:
        fill = f"pip download --dest={wheels or 'DIR'} {' '.join([*target, *requirements()])}"
        place = f"{wheels} does" if wheels else "the package index does"
        option = "" if wheels else ", to be named with --mesh-probe-wheels=DIR"
        raise MeshUnavailable(
            f"{place} not have the packages of the probe image for Python {recipe.python} on {machine}: "
            f"{last_lines(ran)}; run `{fill}` on a machine with a network{option}, or name a built probe "
            "image with --mesh-probe-image=IMAGE"
        )


def _package() -> Path:
    return Path(pytest_meshcheck.__file__).parent
