"""The resources that a process can run out of, and this user's limits."""

import errno
import resource

FILES = 65_536
"""Open files, which are sockets mostly: a load on a stalled server holds thousands."""

SHORTAGES = {
    errno.EMFILE: "open files",
    errno.ENFILE: "open files of the whole system",
    errno.ENOMEM: "memory",
    errno.ENOBUFS: "buffers for sockets",
}
"""By the error that says so."""

WORDS = {
    "Too many open files in system": errno.ENFILE,
    "Too many open files": errno.EMFILE,
    "Cannot allocate memory": errno.ENOMEM,
    "No buffer space available": errno.ENOBUFS,
}
"""A data plane's words for these errors, in its log and in its answers; what begins with others comes first."""


def open_as_many_as_allowed() -> None:
    """Raise the limit of open files of this process, and of those that it starts, to what this user may have."""
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = FILES if most == resource.RLIM_INFINITY else min(most, FILES)
    if limit != resource.RLIM_INFINITY and limit < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))


def quoted(text: str) -> int | None:
    """The error number of a shortage that a data plane names in a text; None if it names none."""
    return next((number for words, number in WORDS.items() if words in text), None)


def lacking(number: int, files: int) -> str:
    """What an error number says that a process ran out of; ``files`` is its limit of open files."""
    return f"{SHORTAGES[number]} (limit {files})" if number == errno.EMFILE else SHORTAGES[number]
