"""Clusters of kind: Kubernetes in containers of this machine (https://kind.sigs.k8s.io)."""

import contextlib
import hashlib
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from pytest_meshcheck.model.errors import Inconclusive, MeshUnavailable
from pytest_meshcheck.platforms.containers import last_lines, provider, run
from pytest_meshcheck.platforms.run_directory import RunDirectory

OLDEST = (0, 20)
"""The oldest kind whose clusters run Kubernetes 1.27, from where sidecar containers begin."""

READY_WITHIN = 180
"""Seconds that kind waits for the control plane."""

DAEMON_ANSWERS_WITHIN = 10.0
OURS = "meshcheck-"
KEPT = f"{OURS}kept"
LABEL = "io.x-k8s.kind.cluster"
"""What kind labels the containers of a cluster with."""

INSTALL = "https://kind.sigs.k8s.io/docs/user/quick-start/#installation"
OTHER_CLUSTER = "or name an existing cluster with --mesh-context=NAME or --mesh-kubeconfig=FILE"


@dataclass(frozen=True)
class Kind:
    """A kind cluster, which may not exist yet.

    Attributes:
        name: Its name.
        image: The node image; None for kind's own default.
        config: A kind configuration; None for one node.
    """

    name: str
    image: str | None = None
    config: Path | None = None

    @property
    def context(self) -> str:
        """The name of its context in a kubeconfig."""
        return f"kind-{self.name}"

    def create(self, kubeconfig: Path) -> None:
        """Create it and wait for its control plane; whatever interrupts that removes it again.

        Raises:
            Inconclusive: kind cannot create it; the message has the reason.
        """
        command = ["kind", "create", "cluster", "--name", self.name, "--kubeconfig", str(kubeconfig)]
        command += ["--wait", _patience(self.config), *(["--image", self.image] if self.image else [])]
        command += ["--config", str(self.config)] if self.config else []
        try:
            created = run(command)
        except BaseException:
            self.delete(kubeconfig)
            raise
        if created.returncode:
            self.delete(kubeconfig)
            raise Inconclusive(f"kind cannot create the cluster {self.name}: {_complaint(created.stderr)}")

    def load(self, image: str) -> None:
        """Load an image of this machine onto every node.

        Raises:
            Inconclusive: It cannot be loaded.
        """
        with contextlib.closing(RunDirectory()) as folder:
            for command in self._loading(image, folder.path / "image.tar"):
                loaded = run(command)
                if loaded.returncode:
                    why = _complaint(loaded.stderr)
                    raise Inconclusive(f"the image {image} cannot be loaded into {self.name}: {why}")

    def exists(self) -> bool:
        """Whether the cluster exists."""
        return self.name in clusters()

    def write_kubeconfig(self, kubeconfig: Path) -> None:
        """Write the kubeconfig of an existing cluster."""
        written = run(["kind", "export", "kubeconfig", "--name", self.name, "--kubeconfig", str(kubeconfig)])
        if written.returncode:
            raise Inconclusive(f"the kind cluster {self.name} has no kubeconfig: {_complaint(written.stderr)}")

    def delete(self, kubeconfig: Path | None = None) -> str:
        """Delete it, also half of it; returns what went wrong, empty where nothing did.

        Its context goes from that kubeconfig; None stands for the user's.
        """
        where = ["--kubeconfig", str(kubeconfig)] if kubeconfig else []
        deleted = run(["kind", "delete", "cluster", "--name", self.name, *where])
        if why := self._remove_nodes():
            return f"the kind cluster {self.name} is left: {_complaint(deleted.stderr)}; {why}"
        return ""

    def _loading(self, image: str, archive: Path) -> list[list[str]]:
        """Commands that load an image; by itself kind looks for images with docker, whatever runs its nodes.

        https://github.com/kubernetes-sigs/kind/issues/2760
        """
        if provider() == "docker":
            return [["kind", "load", "docker-image", image, "--name", self.name]]
        return [
            [provider(), "save", "--output", str(archive), image],
            ["kind", "load", "image-archive", str(archive), "--name", self.name],
        ]

    def _remove_nodes(self) -> str:
        """Remove the containers that kind did not; returns what went wrong, empty where nothing did."""
        listing = [provider(), "ps", "--all", "--quiet", "--filter", f"label={LABEL}={self.name}"]
        left = run(listing)
        if not left.returncode and left.stdout.split():
            run([provider(), "rm", "--force", "--volumes", *left.stdout.split()])
            left = run(listing)
        if left.returncode:
            return f"{provider()} does not list its containers: {last_lines(left)}"
        return f"containers {', '.join(left.stdout.split())}" if left.stdout.split() else ""


def _patience(config: Path | None) -> str:
    """How long kind is to wait for the control plane, which is never ready where a mesh brings the network later."""
    try:
        read = yaml.safe_load(config.read_text("utf-8")) if config else None
    except (OSError, yaml.YAMLError) as error:
        raise Inconclusive(f"the kind configuration {config} cannot be read: {error}") from error
    networking = (read.get("networking") if isinstance(read, dict) else None) or {}
    return "0s" if networking.get("disableDefaultCNI") else f"{READY_WITHIN}s"


def shipped(name: str) -> Path:
    """A kind configuration shipped with the package."""
    package = Path(__file__).parents[2]
    folders = (package / "kind-configs", package.parent / "kind-configs")
    return next(folder / name for folder in folders if folder.is_dir())


def kept_name(image: str | None, config: Path | None, meshes: Sequence[str] = ()) -> str:
    """The name of a cluster that is kept for the next run with the same settings."""
    content = config.read_bytes() if config else b""
    wanted = hashlib.sha256("\0".join([image or "", *meshes]).encode() + b"\0" + content)
    return f"{KEPT}-{wanted.hexdigest()[:6]}"


def clusters() -> list[str]:
    """The kind clusters of this machine.

    Raises:
        MeshUnavailable: kind or what runs its nodes is missing, or does not answer.
    """
    return _tool(["kind", "get", "clusters"], f"start {provider()}").split()


def has(name: str) -> bool:
    """Whether there is a kind cluster of that name; False if kind is not installed."""
    return shutil.which("kind") is not None and name in clusters()


def require() -> None:
    """Make sure that clusters can be created.

    Raises:
        MeshUnavailable: kind is missing or too old, or its container engine is down; the message has the next step.
    """
    version = _version(_tool(["kind", "version"], f"install it ({INSTALL}), {OTHER_CLUSTER}"))
    if version < OLDEST:
        found, wanted = (".".join(map(str, numbers)) for numbers in (version, OLDEST))
        raise MeshUnavailable(f"kind {found} is too old, {wanted} or newer is needed: update it ({INSTALL})")
    _tool([provider(), "ps", "--quiet"], f"start {provider()}, or get the right to use it, {OTHER_CLUSTER}")


def _tool(command: Sequence[str], advice: str) -> str:
    try:
        ran = run(command, DAEMON_ANSWERS_WITHIN)
    except FileNotFoundError as missing:
        raise MeshUnavailable(f"no program {command[0]} on the PATH: {advice}") from missing
    except subprocess.TimeoutExpired as late:
        raise MeshUnavailable(f"{command[0]} does not answer in {DAEMON_ANSWERS_WITHIN:.0f} s: {advice}") from late
    if ran.returncode:
        raise MeshUnavailable(f"{command[0]} does not work: {_complaint(ran.stderr)}: {advice}")
    return ran.stdout


def _version(text: str) -> tuple[int, ...]:
    found = re.search(r"v(\d+)\.(\d+)", text)
    if found is None:
        raise MeshUnavailable(f"kind reports {text.strip()!r} instead of a version: update it ({INSTALL})")
    return int(found[1]), int(found[2])


def _complaint(text: str) -> str:
    """The error lines of kind, without its progress."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not re.match(r"\s*[•✓✗]", line)]
    errors = [line for line in lines if line.startswith(("ERROR", "Command Output"))]
    return " ".join((errors or lines)[-3:]) or "it said nothing"
