"""Builds an image: with testcontainers if docker runs kind's nodes, else with podman or nerdctl.

testcontainers speaks to Docker's engine only: nerdctl has no such interface, and podman none unless it is set up.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.platforms.containers import last_lines, provider

DOCKER = "docker"
ENDPOINT = ("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
"""The address of the current context of the program: kind uses the program, and the image must be there."""


def build(folder: Path, tag: str) -> None:
    """Build an image of a folder with a Dockerfile.

    Raises:
        MeshUnavailable: It cannot be built; the message has the builder's last lines.
    """
    if provider() == DOCKER:
        _by_engine(folder, tag)
    else:
        built = containers("build", "--quiet", "--tag", tag, str(folder))
        if built.returncode:
            raise MeshUnavailable(f"the probe image cannot be built: {last_lines(built)}")


def containers(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program that runs kind's nodes to its end.

    Raises:
        MeshUnavailable: There is none.
    """
    try:
        return run([provider(), *arguments])
    except FileNotFoundError as missing:
        raise MeshUnavailable(
            f"no program {provider()} on the PATH, with which the probe image is built: "
            "install it, or name a built probe image with --mesh-probe-image=IMAGE"
        ) from missing


def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run to the end, which Ctrl-C hastens: this is not done in the thread that hears of it."""
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False, stdin=subprocess.DEVNULL)


def _by_engine(folder: Path, tag: str) -> None:
    from docker.errors import BuildError, DockerException  # noqa: PLC0415 - most runs find the image that they need
    from testcontainers.core.image import DockerImage  # noqa: PLC0415 - as above

    environment = {"DOCKER_HOST": containers(*ENDPOINT).stdout.strip()} | os.environ
    try:
        # Left on leaving: only its connection is closed.
        with DockerImage(folder, {"environment": environment}, tag=tag, clean_up=False):
            pass
    except BuildError as error:
        said = [line for step in error.build_log for line in str(step.get("stream", "")).splitlines() if line.strip()]
        raise MeshUnavailable(f"the probe image cannot be built: {' '.join([*said[-3:], error.msg])}") from error
    except DockerException as error:
        raise MeshUnavailable(f"the probe image cannot be built: {' '.join(str(error).split())}") from error
