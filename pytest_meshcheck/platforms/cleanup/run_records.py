"""Run records: what each run creates outside of its processes, recorded before it is created.

A record is a file that the run keeps locked: the kernel lets go of the lock when the run dies, however it dies. So a
record that nobody holds is that of a dead run, whatever became of process ids, and a record that is held is never
touched. Runs of other users and of other machines have their records there.
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

SUFFIX = ".json"


class OwnCluster(msgspec.Struct, frozen=True, tag="own-cluster"):
    """A kind cluster that is there for this run alone, or not yet there for others."""

    name: str


class KeptCluster(msgspec.Struct, frozen=True, tag="kept-cluster"):
    """A kind cluster that stays; the run has namespaces in it."""

    name: str


class NamedCluster(msgspec.Struct, frozen=True, tag="named-cluster"):
    """A cluster that the user named; the run has namespaces in it."""

    context: str
    kubeconfig: str = ""
    """Empty for the default one."""


Where = OwnCluster | KeptCluster | NamedCluster


class Record(msgspec.Struct, frozen=True):
    """What one run makes."""

    run: str
    where: Where
    meshes: tuple[str, ...] = ()
    """Meshes, as ``NAME[@VERSION]``, that nothing but their adapters can find in the cluster and uninstall."""

    @property
    def file(self) -> str:
        """The name of the file; it does not begin with a dot."""
        return f"{self.run}.{self.where.__struct_config__.tag}{SUFFIX}"

    def uses(self, cluster: str) -> bool:
        """Whether it is about this kind cluster."""
        if isinstance(self.where, NamedCluster):
            return self.where.context == f"kind-{cluster}"
        return self.where.name == cluster


@dataclass(frozen=True)
class Registration:
    """A record that this process holds."""

    record: Record
    lock: int

    @classmethod
    def begin(cls, run: str, where: Where, meshes: tuple[str, ...] = ()) -> "Registration":
        """Write down what a run is about to make.

        Raises:
            MeshUnavailable: There is no place for it.
        """
        record, folder = Record(run, where, meshes), records_folder()
        fresh = folder / f".{secrets.token_hex(8)}"
        lock = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.write(lock, msgspec.json.encode(record))
        os.fsync(lock)
        # It gets its name only once it is locked: nobody can take the run for dead in between.
        fresh.rename(folder / record.file)
        return cls(record, lock)

    def end(self) -> None:
        """Nothing is left of what was written down."""
        forget(self.record)
        os.close(self.lock)


def records() -> tuple[list[Record], list[Record]]:
    """The records of runs that are alive, and those of dead ones."""
    alive: list[Record] = []
    dead: list[Record] = []
    for path in sorted(records_folder().glob(f"*{SUFFIX}")):
        with _taken(path) as taken:
            if (record := _read(path)) is not None:
                (dead if taken else alive).append(record)
    return alive, dead


@contextlib.contextmanager
def adopted(record: Record) -> Iterator[bool]:
    """The record of a dead run is nobody else's while the block runs; False where it is gone, or somebody's."""
    with _taken(records_folder() / record.file) as taken:
        yield taken


def forget(record: Record) -> None:
    """Remove a record."""
    (records_folder() / record.file).unlink(missing_ok=True)


@contextlib.contextmanager
def reserved(cluster: str) -> Iterator[None]:
    """No other run of this user creates or removes a kind cluster of this name while the block runs."""
    with (records_folder() / f"{cluster}.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def records_folder() -> Path:
    """Where records are: in the user's state, so that they survive a restart of the machine.

    Raises:
        MeshUnavailable: It cannot be made.
    """
    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "meshcheck"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(None, "Permission denied")
    except OSError as error:
        raise MeshUnavailable(
            f"{folder}, where runs write down what they make, cannot be written: {error.strerror}; "
            "name another place with the environment variable XDG_STATE_HOME"
        ) from error
    return folder


@contextlib.contextmanager
def _taken(path: Path) -> Iterator[bool]:
    """Whether nobody holds a record that is there; it is held while the block runs."""
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


def _read(path: Path) -> Record | None:
    """What a record says; None where it is gone by now, or that of another version, which knows what it means."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
