"""Run records: what each run creates outside of its processes, recorded before it is created.

A record is a file that the run keeps locked: the kernel releases the lock when the run dies, however it dies. A record
without a lock therefore belongs to a dead run, whatever became of process ids, and a locked record is never touched.
Runs of other users and on other machines keep their own records.
"""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pytest_meshcheck.model.errors import MeshUnavailable
from pytest_meshcheck.platforms.containers import Engine, engine
from pytest_meshcheck.platforms.kubernetes.access.cluster_ref import NamedCluster

SUFFIX = ".json"


class OwnCluster(msgspec.Struct, frozen=True, tag="own-cluster"):
    """A kind cluster for this run alone, or not yet available to others."""

    name: str


class KeptCluster(msgspec.Struct, frozen=True, tag="kept-cluster"):
    """A kept kind cluster in which the run has namespaces."""

    name: str


Where = OwnCluster | KeptCluster | NamedCluster


class RunRecord(msgspec.Struct, frozen=True):
    """What one run creates."""

    run: str
    where: Where
    meshes: tuple[str, ...] = ()
    """Meshes, as ``NAME[@VERSION]``, that nothing but their adapters can find in the cluster and uninstall."""
    engine: Engine | None = None
    """What runs the nodes of a kind cluster; None for another cluster, and in the records of older versions."""

    @property
    def file(self) -> str:
        """The name of the file, which does not begin with a dot."""
        return f"{self.run}.{self.where.__struct_config__.tag}{SUFFIX}"

    @property
    def is_in_reach(self) -> bool:
        """Whether kind, in this environment, lists the clusters of its engine; raises as ``engine``."""
        return self.engine is None or self.engine == engine()

    def uses(self, cluster: str) -> bool:
        """Whether it names this kind cluster."""
        if isinstance(self.where, NamedCluster):
            return self.where.context == f"kind-{cluster}"
        return self.where.name == cluster


@dataclass(frozen=True)
class Registration:
    """A record that this process holds."""

    record: RunRecord
    lock: int

    @classmethod
    def begin(cls, run: str, where: Where, meshes: tuple[str, ...] = ()) -> "Registration":
        """Record the resources that a run is about to create.

        Raises:
            MeshUnavailable: The folder of records cannot be written, or the container engine is unknown.
        """
        runs_nodes = None if isinstance(where, NamedCluster) else engine()
        record, folder = RunRecord(run, where, meshes, runs_nodes), records_folder()
        fresh = folder / f".{secrets.token_hex(8)}"
        lock = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.write(lock, msgspec.json.encode(record))
        os.fsync(lock)
        # It is renamed once it is locked, so that the run never looks dead in between.
        fresh.rename(folder / record.file)
        return cls(record, lock)

    def end(self) -> None:
        """Remove the record: all that it names is gone."""
        forget(self.record)
        os.close(self.lock)


def records() -> tuple[list[RunRecord], list[RunRecord]]:
    """The records of live runs and of dead runs."""
    alive: list[RunRecord] = []
    dead: list[RunRecord] = []
    for path in sorted(records_folder().glob(f"*{SUFFIX}")):
        with _taken(path) as taken:
            if (record := _read(path)) is not None:
                (dead if taken else alive).append(record)
    return alive, dead


@contextlib.contextmanager
def adopted(record: RunRecord) -> Iterator[bool]:
    """Lock the record of a dead run while the block runs; False if it is gone, or locked by another process."""
    with _taken(records_folder() / record.file) as taken:
        yield taken


def forget(record: RunRecord) -> None:
    """Remove a record."""
    (records_folder() / record.file).unlink(missing_ok=True)


@contextlib.contextmanager
def reserved(cluster: str) -> Iterator[None]:
    """No other run of this user creates or removes a kind cluster of this name while the block runs."""
    with (records_folder() / f"{cluster}.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def records_folder() -> Path:
    """The folder of records: in the state of the user, so that they survive a restart of the machine.

    Raises:
        MeshUnavailable: It cannot be created or written.
    """
    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "meshcheck"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(None, "Permission denied")
    except OSError as error:
        raise MeshUnavailable(
            f"{folder}, the folder of run records, cannot be written: {error.strerror}; "
            "name another place with the environment variable XDG_STATE_HOME"
        ) from error
    return folder


@contextlib.contextmanager
def _taken(path: Path) -> Iterator[bool]:
    """Whether a record exists and could be locked; it stays locked while the block runs."""
    try:
        lock = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        taken = True
    except BlockingIOError:
        taken = False
    try:
        yield taken and path.exists()
    finally:
        os.close(lock)


def _read(path: Path) -> RunRecord | None:
    """The content of a record; None if it is gone, or was written by another version."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunRecord)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
