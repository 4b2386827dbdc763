"""Atomic writing of files; errors name the file."""

import contextlib
import os
from pathlib import Path


class ReportNotWritten(Exception):
    """A file of the report could not be written; its previous content is unchanged."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path} could not be written: {reason}. Make room or allow writing there, or choose another place "
            "(--mesh-report=DIR)."
        )
        self.path = path
        self.reason = reason

    @classmethod
    def because(cls, path: Path, error: OSError) -> "ReportNotWritten":
        """The error for an error of the operating system."""
        return cls(path, error.strerror or str(error))


def make_directory(directory: Path) -> None:
    """Create a directory with its parents, unless it exists.

    Raises:
        ReportNotWritten: It cannot be created.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReportNotWritten.because(directory, error) from error


def replace(path: Path, content: bytes) -> None:
    """Replace a file atomically: a reader sees the old one or the new one, never a part.

    Raises:
        ReportNotWritten: The disk is full, or the directory cannot be written to.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise ReportNotWritten.because(path, error) from error
    finally:
        _remove(unfinished)


def append(path: Path, content: bytes) -> None:
    """Append to a file, which is created if it does not exist.

    Raises:
        ReportNotWritten: The disk is full, or the file cannot be written to.
    """
    try:
        with path.open("ab") as file:
            file.write(content)
    except OSError as error:
        raise ReportNotWritten.because(path, error) from error


def remove(path: Path) -> None:
    """Remove a file, if it exists.

    Raises:
        ReportNotWritten: It cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ReportNotWritten.because(path, error) from error


def _remove(unfinished: Path) -> None:
    # The directory itself may be missing or unwritable; that error is being raised already.
    with contextlib.suppress(OSError):
        unfinished.unlink(missing_ok=True)
