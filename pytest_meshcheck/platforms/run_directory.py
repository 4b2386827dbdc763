"""The private directory of one run, and the removal of those that dead runs left behind."""

import fcntl
import os
import re
import secrets
import shutil
import tempfile
from pathlib import Path

NAME = re.compile(r"meshcheck-[0-9a-f]{8}")
LOCK = "lock"


class RunDirectory:
    """A directory of mode 0700, alive as long as the process that made it holds the lock file in it.

    Attributes:
        path: The directory, ``<parent>/meshcheck-<id>``.
    """

    def __init__(self, parent: Path | None = None) -> None:
        parent = parent or Path(tempfile.gettempdir())
        remove_dead_runs(parent)
        fresh = Path(tempfile.mkdtemp(prefix=".meshcheck-", dir=parent))
        self._lock = os.open(fresh / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        # It is renamed once it is locked, so that it never looks dead in between.
        self.path = fresh.rename(parent / f"meshcheck-{secrets.token_hex(4)}")
        self._self = os.open(self.path, os.O_PATH | os.O_DIRECTORY)

    def socket(self, name: str) -> Path:
        """The path by which this process reaches a Unix socket in the directory.

        Linux allows such a path 107 bytes, fewer than the path of a temporary directory may have.
        """
        return Path(f"/proc/self/fd/{self._self}") / name

    def close(self) -> None:
        """Remove the directory."""
        if self.path.exists():
            shutil.rmtree(self.path)
            os.close(self._lock)
            os.close(self._self)


def dead_runs(parent: Path) -> list[Path]:
    """The run directories of this user that no process has locked."""
    candidates = (path for path in parent.glob("meshcheck-*") if NAME.fullmatch(path.name))
    return [path for path in candidates if _is_dead(path)]


def remove_dead_runs(parent: Path) -> list[Path]:
    """Remove run directories of this user that no process has locked; returns them."""
    dead = dead_runs(parent)
    for path in dead:
        # Another run may be removing the same one.
        shutil.rmtree(path, ignore_errors=True)
    return dead


def _is_dead(path: Path) -> bool:
    try:
        if path.is_symlink() or path.stat().st_uid != os.getuid():
            return False
        lock = os.open(path / LOCK, os.O_RDWR)
    except (FileNotFoundError, PermissionError, NotADirectoryError):
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
