"""What the doctor itself could not see."""

from collections.abc import Iterator

from pytest_meshcheck.doctor.finding import Found, Severity
from pytest_meshcheck.doctor.snapshot import Snapshot


def unread(snapshot: Snapshot) -> Iterator[Found]:
    """Objects that could not be read, so that rules about them found nothing."""
    for one in snapshot.unread:
        yield Found(
            Severity.WARNING,
            one.what,
            f"not read: {one.why}",
            "grant get and list, or take what is said about them as unknown",
        )
