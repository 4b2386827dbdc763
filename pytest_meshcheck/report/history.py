"""The history of a check for pictures, extracted from its journal."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from pytest_meshcheck.checks.history import History, LoadLine, Mark, MarkKind, TimeLine, TriedAt
from pytest_meshcheck.model.journal import BEGINS, DISTRIBUTION, ENDS, Entry
from pytest_meshcheck.model.observation import Attempt, Exchange, LoadOutcome
from pytest_meshcheck.report.spent import spent

MARKED: Mapping[str, MarkKind] = {
    "rotation": MarkKind.ROTATION,
    "upgrade step": MarkKind.UPGRADE,
    "disruption": MarkKind.DISRUPTION,
    "restart": MarkKind.RESTART,
    "kill": MarkKind.RESTART,
}
"""The kinds of entries that mark a load."""

DIGITS = 4
"""The decimals of seconds: a tenth of a millisecond."""


def history(entries: Sequence[Entry], request_id: str | None = None) -> History | msgspec.UnsetType:
    """The history for pictures; unset without any.

    Args:
        entries: The journal of the check.
        request_id: The request of a violation; if empty, the load if there was one, otherwise the newest request.
            None without a violation.
    """
    loads = tuple(_loads(entries))
    about_load = loads and not request_id
    request = None if request_id is None or about_load else _time_line(entries, request_id)
    found = History(
        request=request,
        policies=_policies(entries),
        loads=loads,
        distributions=_distributions(entries),
        spent={what: round(seconds, DIGITS) for what, seconds in spent(entries).items() if round(seconds, DIGITS)},
    )
    return msgspec.UNSET if found == History() else found


def _distributions(entries: Iterable[Entry]) -> dict[str, tuple[float, ...]]:
    measured = ((one.subject, one.observation) for one in entries if one.kind == DISTRIBUTION)
    return {
        name: tuple(round(one, DIGITS) for one in seconds) for name, seconds in measured if isinstance(seconds, tuple)
    }


def _time_line(entries: Sequence[Entry], request_id: str) -> TimeLine | None:
    exchanges = [(entry.subject, entry.observation) for entry in entries if isinstance(entry.observation, Exchange)]
    named = [one for one in exchanges if one[1].request_id == request_id]
    if not (named or exchanges):
        return None
    subject, seen = (named or exchanges)[-1]
    client, _, server = subject.partition(" -> ")
    return TimeLine(
        client=client,
        server=server,
        protocol=seen.protocol,
        seconds=round(seen.seconds, DIGITS),
        ending=seen.ending,
        status=seen.code,
        attempts=_attempts(entries, seen),
    )


def _attempts(entries: Iterable[Entry], seen: Exchange) -> tuple[TriedAt, ...] | None:
    """The attempts of a request in the newest ledgers; None if none was read after the request."""
    asked = [entry for entry in entries if entry.kind == "attempts" and entry.wall >= seen.wall]
    found = {
        (attempt.instance, attempt.number): attempt
        for entry in asked
        if isinstance(entry.observation, tuple)
        for attempt in entry.observation
        if isinstance(attempt, Attempt) and attempt.request_id == seen.request_id
    }
    if not asked:
        return None
    return tuple(sorted((_tried(attempt, seen) for attempt in found.values()), key=lambda one: one.arrived))


def _tried(attempt: Attempt, seen: Exchange) -> TriedAt:
    began = attempt.wall - seen.wall - attempt.arrived

    def since(moment: float | None) -> float | None:
        return None if moment is None else round(began + moment, DIGITS)

    return TriedAt(
        server=attempt.instance,
        number=attempt.number,
        arrived=round(attempt.wall - seen.wall, DIGITS),
        answered=since(attempt.answered),
        ended=since(attempt.ended),
        ending=attempt.ending,
    )


def _policies(entries: Iterable[Entry]) -> Mapping[str, tuple[float, ...]]:
    found: defaultdict[str, list[float]] = defaultdict(list)
    for entry in entries:
        if entry.kind == "in effect" and isinstance(entry.observation, float):
            found[entry.subject].append(round(entry.observation, DIGITS))
    return {kinds: tuple(seconds) for kinds, seconds in found.items()}


def _loads(entries: Sequence[Entry]) -> Iterator[LoadLine]:
    marks = list(_marks(entries))
    for entry in entries:
        for name, outcome in _outcomes(entry):
            since = [Mark(round(wall - outcome.began, 1), kind, what) for wall, kind, what in marks]
            within = tuple(mark for mark in since if 0 <= mark.at <= len(outcome.slices) * outcome.step)
            if outcome.slices:
                yield LoadLine(name=name, step=outcome.step, slices=outcome.slices, marks=within)


def _outcomes(entry: Entry) -> Iterable[tuple[str, LoadOutcome]]:
    """The loads of an entry: one, or one per port in an upgrade."""
    if isinstance(entry.observation, LoadOutcome):
        return [(entry.subject, entry.observation)]
    loads = getattr(entry.observation, "loads", {}) if entry.kind == "upgrade" else {}
    return [(f"{entry.subject}, {port}", outcome) for port, outcome in loads.items()]


def _marks(entries: Iterable[Entry]) -> Iterator[tuple[float, MarkKind, str]]:
    """Changes of the mesh, and the first handshakes with new certificates, by time."""
    shown: dict[str, str] = {}
    for entry in entries:
        if kind := MARKED.get(entry.kind):
            yield entry.wall, kind, _step(entry)
        if isinstance(entry.observation, Exchange) and (tls := entry.observation.tls) and tls.chain:
            _, _, server = entry.subject.partition(" -> ")
            leaf = hashlib.sha256(tls.chain[0]).hexdigest()
            if shown.get(server, leaf) != leaf:
                yield entry.wall, MarkKind.CERTIFICATE, leaf
            shown[server] = leaf


def _step(entry: Entry) -> str:
    return f"{entry.subject} {entry.observation}" if entry.observation in (BEGINS, ENDS) else str(entry.subject)
