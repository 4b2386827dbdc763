"""The requests and attempts of the stand-ins of a failed test, in words."""

from collections.abc import Iterable, Iterator

from pytest_meshcheck.checks.described import described, losses
from pytest_meshcheck.model.journal import Entry
from pytest_meshcheck.model.observation import Attempt, Exchange, LoadOutcome

SHOWN = 50
"""The newest entries that are shown."""


def seen(entries: Iterable[Entry]) -> str:
    """The exchanges, attempts and loads of a journal, a line each."""
    return "\n".join([f"{one.subject}: {words}" for one in entries for words in _words(one.observation)][-SHOWN:])


def _words(observation: object) -> Iterator[str]:
    if isinstance(observation, Exchange):
        yield f"request {observation.request_id}, {described(observation)}"
    if isinstance(observation, LoadOutcome):
        yield losses(observation)
    if isinstance(observation, tuple):
        yield from (_attempt(one) for one in observation if isinstance(one, Attempt))


def _attempt(one: Attempt) -> str:
    sent = " ".join(filter(None, (one.method, one.path))) or str(one.protocol)
    return f"attempt {one.number} of request {one.request_id or '(without an id)'}, {sent}, {one.ending}"
