"""What all servers of a probe share: its scripts and its ledger."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from pytest_meshcheck.probe.protocol.messages import (
    POLICIES_HEADER,
    POLICIES_SEEN_HEADER,
    Answer,
    Ending,
    Exchange,
    Request,
    SetScript,
    joined,
)
from pytest_meshcheck.probe.server.ledger import Entry, Head, Ledger

UNSCRIPTED = Answer()
SCRIPTS = 10_000
"""Scripts kept; beyond it the oldest go."""


@dataclass
class ScriptedResponses:
    """Decides the answer to an attempt, and records it.

    Attributes:
        send: Makes the requests that attempts make before they are answered.
        ledger: What it records.
    """

    send: Callable[[Request], Awaitable[Exchange]]
    ledger: Ledger = field(default_factory=Ledger)
    _scripts: dict[str, SetScript] = field(default_factory=dict)

    def script(self, script: SetScript) -> None:
        """Answer the attempts of an id so from now on."""
        self._scripts.pop(script.request_id, None)
        self._scripts[script.request_id] = script
        if len(self._scripts) > SCRIPTS:
            del self._scripts[next(iter(self._scripts))]

    def arrive(self, head: Head) -> tuple[Entry, Answer]:
        """Write down an attempt that begins now, and say how to answer it."""
        entry, number = self.ledger.arrive(head)
        answer = self.answer(head.request_id, number)
        return entry, _telling(head) if answer is UNSCRIPTED else answer

    def answer(self, request_id: str, number: int) -> Answer:
        """The answer to the attempt of this number, from 1."""
        script = self._scripts.get(request_id)
        if script is None or not script.answers:
            return UNSCRIPTED
        if number <= len(script.answers):
            return script.answers[number - 1]
        return script.answers[-1] if script.repeat else UNSCRIPTED

    async def outcome(self, answer: Answer) -> Answer:
        """The answer to an attempt, after its request onward has ended, where it makes one."""
        if answer.onward is None:
            return answer
        return UNSCRIPTED if _is_served(await self.send(answer.onward)) else answer


def _telling(head: Head) -> Answer:
    """Return to the client the policies that its data plane showed, which saves a look-up in the ledger."""
    shown = joined(head.headers, POLICIES_HEADER)
    return UNSCRIPTED if shown is None else Answer(headers=((POLICIES_SEEN_HEADER, shown),))


def _is_served(exchange: Exchange) -> bool:
    if exchange.ending is not Ending.ANSWERED:
        return False
    return (exchange.status or UNSCRIPTED.status, exchange.grpc_status or 0) == (UNSCRIPTED.status, 0)
