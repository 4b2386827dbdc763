"""The events of one check, in order: the evidence of its verdict."""

import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Entry:
    """One thing that was seen or done.

    Attributes:
        kind: ``exchange``, ``attempts``, ``load``, ``wire``, ``policy``, ``in effect`` with the seconds that it took,
            ``rotation``, ``measured`` and others.
        subject: Whom it is about, e.g. ``grey/outsider -> blue/server``.
        observation: A struct of the probe, or anything that msgspec can turn into JSON.
        wall: When, as seconds since the epoch.
    """

    kind: str
    subject: str
    observation: object
    wall: float = field(default_factory=time.time)


class Journal:
    """Collects the entries of the check that runs now; the stage has one, and every workload writes to it."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def begin(self) -> None:
        """Forget what came before: a new check starts."""
        self.entries = []

    def add(self, kind: str, subject: str, observation: object) -> None:
        """Append an entry."""
        self.entries.append(Entry(kind, subject, observation))
