"""One Envoy process: what was published to it, and whether it runs that."""

import asyncio
import re
from pathlib import Path

from pytest_meshcheck.meshes.envoy.admin import AdminSocket
from pytest_meshcheck.meshes.envoy.bootstrap import ADMIN_SOCKET, LONGEST_SOCKET_PATH
from pytest_meshcheck.meshes.envoy.envoyjson import Resources
from pytest_meshcheck.meshes.envoy.hot_restart import EPOCH, Generation
from pytest_meshcheck.meshes.envoy.publication import Publication, Published
from pytest_meshcheck.meshes.envoy.rejection import reasons
from pytest_meshcheck.platforms.children import Child
from pytest_meshcheck.stage.faults import Inconclusive

FIRST_PAUSE = 0.0005
LONGEST_PAUSE = 0.02
"""Seconds between two questions to a sidecar; the pause doubles from the first to the longest."""

QUIET = {
    "listener_manager.workers_started": "1",
    "listener_manager.total_listeners_warming": "0",
    "cluster_manager.warming_clusters": "0",
}
"""Gauges of an Envoy that has nothing under way (https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/stats)."""

REFUSALS = ("update_rejected", "update_failure")
"""Counters of a subscription for what is not valid, and for what cannot be read at all."""

FIRST = "0"
"""The epoch of a process that replaces none."""

FEW = 8
"""Up to this many subscriptions are asked for by name; for more, all of them are asked for."""

DUMPS = {"config.json": "/config_dump?include_eds", "stats.txt": "/stats", "certificates.json": "/certs"}
"""What a diagnosis keeps of the administration interface; Envoy redacts private keys in it."""


class Sidecar:
    """The data plane of one workload.

    Attributes:
        generation: Which of the processes runs now that replace each other without a break; None: none ever does.
    """

    def __init__(self, workload: str, directory: Path, generation: Generation | None = None) -> None:
        """Make the directory that it runs in.

        Raises:
            OSError: The directory's path is too long for a Unix socket in it.
        """
        socket = directory / ADMIN_SOCKET
        if len(bytes(socket)) > LONGEST_SOCKET_PATH:
            raise OSError(
                f"{socket} is longer than the {LONGEST_SOCKET_PATH} octets that the path of a Unix socket may have: "
                "set TMPDIR to a shorter directory"
            )
        self.workload = workload
        self.directory = directory
        self.generation = generation
        self._child: Child | None = None
        self._publication = Publication(directory)
        self._admin = AdminSocket(socket)
        self._pending: dict[str, Published] = {}
        self._refusals: dict[str, int] = {}
        self._rejected: dict[str, str] = {}
        self._log_offset = 0

    @property
    def child(self) -> Child | None:
        """Its process; None before it is started."""
        return self._child

    def runs_as(self, child: Child) -> None:
        """A process was started for it, which has to take everything from the beginning."""
        self._admin.close()
        self._child = child
        self._pending = dict(self._publication.current)
        if self._epoch == FIRST:
            self._refusals.clear()  # a later one goes on counting where the one before it was

    def stage(self, resources: Resources) -> None:
        """Write what has changed; it is published by ``release``."""
        if self._child is not None and not self._pending:
            self._log_offset = self._child.log.stat().st_size
        for published in self._publication.stage(resources):
            self._pending[published.path] = published
            self._rejected.pop(published.path, None)
        current = self._publication.current
        self._pending = {path: one for path, one in self._pending.items() if path in current}
        self._rejected = {path: why for path, why in self._rejected.items() if path in current}

    def release(self) -> None:
        """Publish what was staged."""
        self._publication.release()

    async def settled(self, patience: float) -> None:
        """Wait until the newest configuration is in force.

        Raises:
            Inconclusive: Some of it was rejected, the process is gone, or ``patience`` seconds are over.
        """
        clock = asyncio.get_running_loop().time
        deadline, pause = clock() + patience, FIRST_PAUSE
        while not await self._has_settled() and not self._rejected:
            if clock() > deadline:
                waiting = ", ".join(published.subject for published in self._pending.values()) or "warming resources"
                raise Inconclusive(f"the sidecar of {self.workload} did not take {waiting} within {patience} s")
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        if self._rejected:
            raise Inconclusive("\n".join(self._rejected.values()))

    async def diagnose(self, directory: Path) -> None:
        """Write its configuration, certificates and statistics."""
        for name, target in DUMPS.items():
            try:
                content = await self._admin.get(target)
            except OSError as error:
                content = f"the sidecar does not answer: {error}\n".encode()
            _write(directory, f"{self.workload.replace('/', '.')}.{name}", content)

    def close(self) -> None:
        """Close the connection to it; stopping the process is the platform's part."""
        self._admin.close()

    @property
    def _epoch(self) -> str:
        return str(self.generation.epoch) if self.generation else FIRST

    async def _has_settled(self) -> bool:
        if self._child is None:
            return False
        self._child.check()
        if not self._pending:
            return True
        try:
            stats = await self._admin.stats(self._pattern())
        except (FileNotFoundError, ConnectionError):
            return False
        if stats.get(EPOCH) != self._epoch:
            self._admin.close()  # the process that is being replaced has answered
            return False
        if any(stats.get(gauge) != value for gauge, value in QUIET.items()):
            return False
        for published in self._take(stats):
            self._rejected[published.path] = await self._rejection(published)
        return not self._pending

    def _pattern(self) -> str:
        prefixes = [re.escape(published.statistics) for published in self._pending.values()]
        subscriptions = "|".join(prefixes) if len(prefixes) <= FEW else ".*"
        gauges = "|".join(re.escape(gauge) for gauge in (*QUIET, EPOCH))
        return rf"^(({subscriptions})\.(version_text|update_rejected|update_failure)|{gauges})$"

    def _take(self, stats: dict[str, str]) -> list[Published]:
        """Cross off what Envoy has decided on; returns what it rejects."""
        rejected = []
        for path, published in list(self._pending.items()):
            prefix = published.statistics
            refusals = sum(int(stats.get(f"{prefix}.{counter}", 0)) for counter in REFUSALS)
            if stats.get(f"{prefix}.version_text") == published.version:
                del self._pending[path]
            elif refusals > self._refusals.get(prefix, 0):
                del self._pending[path]
                rejected.append(published)
            self._refusals[prefix] = refusals
        return rejected

    async def _rejection(self, published: Published) -> str:
        log = self._child.log.read_bytes()[self._log_offset :].decode(errors="replace") if self._child else ""
        why = reasons(await self._admin.get("/config_dump"), log)
        return f"the sidecar of {self.workload} rejects {published.subject}: {why}"


def _write(directory: Path, name: str, content: bytes) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(content)
