"""The events of one check, in order: the evidence of its verdict."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

BEGINS, ENDS = "begins", "ends"
"""The observations at both ends of an action."""

DISTRIBUTION = "distribution"
"""The kind of an entry whose observation is a tuple of seconds."""


@dataclass(frozen=True)
class Entry:
    """One observation or action.

    Attributes:
        kind: ``exchange``, ``attempts``, ``load``, ``wire``, ``policy``, ``in effect`` with the seconds until then,
            ``rotation``, ``upgrade step``, ``disruption``, ``restart``, ``measured`` and others.
        subject: Its subject, e.g. ``grey/outsider -> blue/server``.
        observation: A struct of the probe, or another value that msgspec can encode as JSON.
        wall: Its time in seconds since the epoch.
    """

    kind: str
    subject: str
    observation: object
    wall: float = field(default_factory=time.time)


class Journal:
    """The entries of the running check; a stage has one journal for all workloads."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def begin(self) -> None:
        """Clear the entries for a new check."""
        self.entries = []

    def add(self, kind: str, subject: str, observation: object) -> None:
        """Append an entry."""
        self.entries.append(Entry(kind, subject, observation))

    @contextmanager
    def action(self, kind: str, subject: str) -> Iterator[None]:
        """Append an entry where the block begins, and another one where it ends without an error."""
        self.add(kind, subject, BEGINS)
        yield
        self.add(kind, subject, ENDS)
