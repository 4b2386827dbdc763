"""One sidecar: its Envoy process, and the state of its configuration."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pytest_meshcheck.meshes.envoy.process.admin import AdminSocket
from pytest_meshcheck.meshes.envoy.process.discovery import DiscoveryStream, Subscriber
from pytest_meshcheck.meshes.envoy.process.hot_restart import Generation
from pytest_meshcheck.meshes.envoy.process.rejection import reason
from pytest_meshcheck.meshes.envoy.xds.resources import TYPES, Resources
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.platforms.children import Child

DUMPS = {"config.json": "/config_dump?include_eds", "stats.txt": "/stats", "certificates.json": "/certs"}
"""The pages of the administration interface that ``diagnose`` keeps; Envoy redacts private keys in them."""

SLICES = 10
"""Slices of a time limit: a pause of this process, which contains the control plane, uses up only one of them."""


class Sidecar:
    """The data plane of one workload.

    Attributes:
        generation: The present process in a sequence of hot restarts; None without hot restart.
    """

    def __init__(self, workload: str, directory: Path, admin: Path, generation: Generation | None = None) -> None:
        """Create the working directory; ``admin`` is the path of the administration socket in it."""
        directory.mkdir()
        self.workload = workload
        self.directory = directory
        self.generation = generation
        self._child: Child | None = None
        self._end: asyncio.Task[int] | None = None
        self._subscriber = Subscriber()
        self._admin = AdminSocket(admin)
        self._is_dismissed = False

    @property
    def child(self) -> Child | None:
        """The process; None before the start."""
        return self._child

    @property
    def node(self) -> str:
        """The node id by which the present process requests its configuration."""
        return self.generation.name(self.workload) if self.generation else self.workload

    @property
    def subscriber(self) -> Subscriber:
        """The control plane's end of its streams."""
        return self._subscriber

    def runs_as(self, child: Child) -> None:
        """Note a new process, which needs the whole configuration."""
        self._admin.close()
        self._child = child
        self._end = asyncio.create_task(child.process.wait())
        self._end.add_done_callback(lambda _end: self._subscriber.progress.set())

    def publish(self, resources: Resources) -> None:
        """Send the changes."""
        self._subscriber.publish(resources)

    async def settled(self, patience: float) -> None:
        """Wait until the sidecar runs the newest configuration.

        Raises:
            Inconclusive: A part was rejected, the process is gone, or ``patience`` seconds are over.
        """
        for _ in range(SLICES):
            with suppress(TimeoutError):
                async with asyncio.timeout(patience / SLICES):
                    while not self._has_settled():
                        self._subscriber.progress.clear()
                        await self._subscriber.progress.wait()
                    break
        else:
            raise Inconclusive(f"the sidecar of {self.workload} did not accept {self._awaited()} within {patience} s")
        if reasons := list(self._rejections()):
            raise Inconclusive("\n".join(reasons))

    async def diagnose(self, directory: Path) -> None:
        """Write its configuration, certificates and statistics."""
        for name, target in DUMPS.items():
            try:
                content = await self._admin.get(target)
            except OSError as error:
                content = f"the sidecar does not answer: {error}\n".encode()
            _write(directory, f"{self.workload.replace('/', '.')}.{name}", content)

    async def drain(self) -> None:
        """Ask callers to go elsewhere: connections are to be closed after the requests under way.

        Raises:
            Inconclusive: The sidecar does not answer.
        """
        try:
            await self._admin.get("/healthcheck/fail", "POST")
        except OSError as error:
            raise Inconclusive(f"the sidecar of {self.workload} does not drain: {error}") from error

    def close(self) -> None:
        """Close the administration connection; the platform stops the process."""
        self._admin.close()

    def dismiss(self) -> None:
        """Wake whatever waits for its configuration: its process ends for good."""
        self._is_dismissed = True
        self._subscriber.progress.set()

    def forget_stream(self) -> None:
        """Drop the stream of a killed process, which ends later, and would be taken for its successor's."""
        self._subscriber.streams.pop(self.node, None)

    @property
    def _stream(self) -> DiscoveryStream | None:
        return self._subscriber.streams.get(self.node)

    def _has_settled(self) -> bool:
        if self._is_dismissed:
            return True
        if self._child is None:
            return False
        self._child.check()
        return self._stream is not None and self._stream.complete

    def _awaited(self) -> str:
        if self._stream is None:
            return "its configuration stream"
        return "; ".join(map(str, self._stream.pending.values())) or "its configuration"

    def _rejections(self) -> Iterator[str]:
        for (kind, name), why in self._subscriber.configuration.malformed.items():
            yield f"the sidecar of {self.workload} rejects {kind} {name}: {why}"
        if self._stream is None or self._child is None:
            return
        for sent, stated in self._stream.rejected.items():
            why = reason(stated, TYPES[sent.kind], self._child.log)
            yield f"the sidecar of {self.workload} rejects {sent}: {why}"


def _write(directory: Path, name: str, content: bytes) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(content)
