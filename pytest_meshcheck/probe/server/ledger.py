"""The ledger: the servers' observations of each attempt, and waiting for them."""

import asyncio
import hashlib
import time
from collections import Counter, deque
from dataclasses import dataclass, field

import msgspec

from pytest_meshcheck.probe.protocol.messages import Attempt, AttemptEnding, Protocol

LIMIT = 50_000
"""Attempts kept; beyond it the oldest go."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """The content of a request's head. Bytes are Latin-1; ``peer`` is the other end of the connection."""

    protocol: Protocol
    port: str
    request_id: str = ""
    method: str = ""
    path: str = ""
    authority: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    peer: tuple[str, int] | None = None


class Entry:
    """An attempt that a server is writing down; ``position`` is how many arrived before it."""

    def __init__(self, ledger: "Ledger", attempt: Attempt, position: int) -> None:
        self.position = position
        self._ledger = ledger
        self._attempt = attempt
        self._digest = hashlib.sha256()
        self._length = 0

    @property
    def request_id(self) -> str:
        """The id of the request, empty while it is unknown."""
        return self._attempt.request_id

    @property
    def open(self) -> bool:
        """Whether the attempt is still under way."""
        return self._attempt.ending is AttemptEnding.OPEN

    @property
    def begun(self) -> bool:
        """Whether the head of an answer was sent."""
        return self._attempt.answered is not None

    @property
    def length(self) -> int:
        """Bytes of the request's body that came so far."""
        return self._length

    def attempt(self) -> Attempt:
        """The attempt as it stands."""
        return msgspec.structs.replace(self._attempt, body_length=self._length, body_sha256=self._digest.hexdigest())

    def identify(self, request_id: str) -> None:
        """Say whose attempt it is, where that was not known from the beginning."""
        self._attempt = msgspec.structs.replace(
            self._attempt, request_id=request_id, number=self._ledger.identified(self, request_id)
        )
        self._ledger.changed(request_id)

    def received(self, data: bytes) -> None:
        """Count and hash a piece of the request's body."""
        self._digest.update(data)
        self._length += len(data)

    def answering(self) -> None:
        """The head of the answer goes out now."""
        if not self.begun:
            self._attempt = msgspec.structs.replace(self._attempt, answered=time.monotonic())

    def end(self, ending: AttemptEnding, detail: str = "") -> None:
        """The attempt ended; the first ending stands."""
        if self.open:
            self._attempt = msgspec.structs.replace(self._attempt, ending=ending, detail=detail, ended=time.monotonic())
            self._ledger.changed(self.request_id)


@dataclass
class Ledger:
    """The newest attempts that one probe saw; ``arrived`` is how many it ever saw."""

    instance: str = ""
    arrived: int = 0
    _entries: deque[Entry] = field(default_factory=deque)
    _by_id: dict[str, list[Entry]] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)
    _waiting: dict[str, asyncio.Event] = field(default_factory=dict)
    _forgotten: set[str] = field(default_factory=set)

    def arrive(self, head: Head) -> tuple[Entry, int]:
        """Open an entry for an attempt that begins now; returns it with its number, 0 if it has no id yet."""
        attempt = Attempt(
            request_id=head.request_id,
            number=0,
            instance=self.instance,
            port=head.port,
            protocol=head.protocol,
            method=head.method,
            path=head.path,
            authority=head.authority,
            headers=head.headers,
            peer=head.peer,
            arrived=time.monotonic(),
            wall=time.time(),
        )
        entry = Entry(self, attempt, self.arrived)
        self.arrived += 1
        self._entries.append(entry)
        if head.request_id:
            entry.identify(head.request_id)
        self._forget_oldest()
        return entry, entry.attempt().number

    def identified(self, entry: Entry, request_id: str) -> int:
        """File an entry under its id; returns its number."""
        self._by_id.setdefault(request_id, []).append(entry)
        self._counts[request_id] += 1
        return self._counts[request_id]

    def changed(self, request_id: str) -> None:
        """Wake those who wait for an attempt of this id."""
        event = self._waiting.pop(request_id, None)
        if event is not None:
            event.set()

    def read(self, request_id: str, *, prefix: bool = False, since: int = 0) -> tuple[Attempt, ...]:
        """The attempts of an id, or with ``prefix`` of all ids that begin so, but for the first ``since`` of all."""
        if request_id and not prefix:
            entries = list(self._by_id.get(request_id, ()))
        else:
            entries = [entry for entry in self._entries if entry.request_id.startswith(request_id)]
        return tuple(entry.attempt() for entry in entries if entry.position >= since)

    def has_forgotten(self, request_id: str) -> bool:
        """Whether attempts of an id, or of a load whose ids begin so, are no longer kept."""
        return _load_of(request_id) in self._forgotten

    async def wait(self, request_id: str, count: int, *, ended: bool, patience: float) -> tuple[Attempt, ...]:
        """Wait until ``count`` attempts of an id arrived (or ended); fewer once patience is over."""
        try:
            async with asyncio.timeout(patience):
                while self._count(request_id, ended=ended) < count:
                    await self._waiting.setdefault(request_id, asyncio.Event()).wait()
        except TimeoutError:
            return self.read(request_id)
        return self.read(request_id)

    def _count(self, request_id: str, *, ended: bool) -> int:
        return sum(not (ended and entry.open) for entry in self._by_id.get(request_id, ()))

    def _forget_oldest(self) -> None:
        while len(self._entries) > LIMIT:
            entry = self._entries.popleft()
            self._forgotten.add(_load_of(entry.request_id))
            filed = self._by_id.get(entry.request_id)
            if filed is not None:
                filed.remove(entry)
                if not filed:
                    del self._by_id[entry.request_id]
                    del self._counts[entry.request_id]


def _load_of(request_id: str) -> str:
    """What the ids of all requests of a load begin with."""
    return request_id.partition("-")[0]
