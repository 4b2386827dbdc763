"""Exclusive report directories: two runs would overwrite each other's verdicts and evidence."""

import contextlib
import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

from pytest_meshcheck.report.files import ReportNotWritten, make_directory

FOR_ITSELF = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class DirectoryTaken(Exception):
    """Another run is writing to a directory; with its name and the next step."""

    def __init__(self, directory: Path) -> None:
        super().__init__(
            f"another run is writing its report to {directory}: wait for its end, or choose another directory "
            "with --mesh-report=DIR"
        )


class Reservation:
    """Directories reserved for this run until it ends, however it ends: the kernel releases the locks.

    The directory itself is locked, so no lock file is needed.
    """

    def __init__(self, directories: Iterable[Path]) -> None:
        """Create missing directories, and reserve all.

        Raises:
            DirectoryTaken: Another run has reserved one of them.
            ReportNotWritten: A directory cannot be created, or is not writable.
        """
        self._held: dict[Path, int] = {}
        try:
            for directory in directories:
                self._hold(directory)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Release the directories; empty ones are removed, with their parent if it is empty too."""
        for directory, descriptor in self._held.items():
            with contextlib.suppress(OSError):  # it is not empty
                directory.rmdir()
                directory.parent.rmdir()
            os.close(descriptor)
        self._held.clear()

    def _hold(self, directory: Path) -> None:
        make_directory(directory)
        if not os.access(directory, os.W_OK | os.X_OK):
            raise ReportNotWritten(directory, "Permission denied")
        descriptor = os.open(directory, FOR_ITSELF)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise DirectoryTaken(directory) from None
        except OSError:
            pass  # some network file systems have no locks
        self._held[directory] = descriptor
