"""One run at a time writes to the directory of a report: two would overwrite each other's verdicts and evidence."""

import contextlib
import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

from pytest_meshcheck.report.files import make_directory

FOR_ITSELF = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class DirectoryTaken(Exception):
    """Another run writes to a directory right now; names it and the next step."""

    def __init__(self, directory: Path) -> None:
        super().__init__(
            f"another run writes its report to {directory} right now: wait for its end, or name another directory "
            "with --mesh-report=DIR"
        )


class Reservation:
    """Directories that belong to this run until it ends, however it ends: the kernel lets go of them.

    The directory itself is locked, so that nothing of ours has to lie beside the report.
    """

    def __init__(self, directories: Iterable[Path]) -> None:
        """Make the directories where they are missing, and reserve them.

        Raises:
            DirectoryTaken: Another run has one of them.
            ReportNotWritten: One cannot be made.
        """
        self._held: dict[Path, int] = {}
        try:
            for directory in directories:
                self._hold(directory)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Give the directories back; one that has remained empty goes, and so does the one that it is in."""
        for directory, descriptor in self._held.items():
            with contextlib.suppress(OSError):  # it is not empty
                directory.rmdir()
                directory.parent.rmdir()
            os.close(descriptor)
        self._held.clear()

    def _hold(self, directory: Path) -> None:
        make_directory(directory)
        descriptor = self._held[directory] = os.open(directory, FOR_ITSELF)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryTaken(directory) from None
        except OSError:
            return  # a file system without locks, such as some of a network, keeps nobody apart
