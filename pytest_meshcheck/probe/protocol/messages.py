"""The messages between controller and probe: one frozen struct each, MessagePack on the wire."""

import msgspec

from pytest_meshcheck.probe.protocol.observations import (
    Attempt as Attempt,
    AttemptEnding as AttemptEnding,
    CaptureResult as CaptureResult,
    Ending as Ending,
    Exchange as Exchange,
    LoadResult as LoadResult,
    PollResult as PollResult,
    Standstill as Standstill,
    Tls as Tls,
    joined as joined,
)
from pytest_meshcheck.probe.protocol.protocols import Protocol as Protocol
from pytest_meshcheck.probe.protocol.replies import (
    CaptureReply as CaptureReply,
    Done as Done,
    Exchanged as Exchanged,
    Failed as Failed,
    Felt as Felt,
    Kept as Kept,
    Ledger as Ledger,
    Loaded as Loaded,
    Reply as Reply,
    Watched as Watched,
)
from pytest_meshcheck.probe.protocol.requests import (
    POLICIES_HEADER as POLICIES_HEADER,
    POLICIES_SEEN_HEADER as POLICIES_SEEN_HEADER,
    REQUEST_ID_HEADER as REQUEST_ID_HEADER,
    TCP_BANNER as TCP_BANNER,
    Answer as Answer,
    Behaviour as Behaviour,
    Body as Body,
    ClientTls as ClientTls,
    Credentials as Credentials,
    Listen as Listen,
    LoadPlan as LoadPlan,
    Poll as Poll,
    PolledValue as PolledValue,
    Property as Property,
    Request as Request,
    ServerTls as ServerTls,
)


class Serve(msgspec.Struct, frozen=True, tag=True):
    """Open these ports, replacing others with the same names; answers ``Done`` once all of them accept connections."""

    instance: str
    ports: tuple[Listen, ...]


class CloseListener(msgspec.Struct, frozen=True, tag=True):
    """Stop serving a port, by its name: close its connections and refuse new ones; answers ``Done`` once that is so."""

    port: str
    seconds: float | None = None
    """Serve it again after so many seconds; None: not again."""


class SetScript(msgspec.Struct, frozen=True, tag=True):
    """Answer the attempts of one request id as listed; attempts beyond the list get ``Answer()``."""

    request_id: str
    answers: tuple[Answer, ...]
    repeat: bool = False
    """Attempts beyond the list get the last of it instead."""


class Send(msgspec.Struct, frozen=True, tag=True):
    """Make one exchange; answers ``Exchanged``."""

    request: Request


class FirstExchange(msgspec.Struct, frozen=True, tag=True):
    """Answers ``Exchanged`` with the exchange that the probe has made when it started, once that has ended."""


class CloseConnection(msgspec.Struct, frozen=True, tag=True):
    """Close a kept connection, by its name; answers ``Done``, also if it was never dialled."""

    name: str


class Resume(msgspec.Struct, frozen=True, tag=True):
    """Have a request with ``pause_after`` send the rest of its body; answers ``Done``, also if it has ended."""

    request_id: str


class Watch(msgspec.Struct, frozen=True, tag=True):
    """Poll side by side; each poll ends once it is convincing, or else ``within`` seconds. Answers ``Watched``."""

    polls: tuple[Poll, ...]
    in_a_row: int
    within: float


class StartLoad(msgspec.Struct, frozen=True, tag=True):
    """Begin a load; answers ``Done`` at once."""

    plan: LoadPlan


class KeepsUp(msgspec.Struct, frozen=True, tag=True):
    """Answers ``Kept`` about a load that is under way, or that has ended because requests were sent too late."""

    request_id: str


class FinishLoad(msgspec.Struct, frozen=True, tag=True):
    """End a load (at once, or when its seconds are over), wait for the answers under way; answers ``Loaded``."""

    request_id: str


class OpenStream(msgspec.Struct, frozen=True, tag=True):
    """Open a stream that echoes, of a protocol that has some, and keep it; answers ``Exchanged``."""

    request: Request


class EchoOnStream(msgspec.Struct, frozen=True, tag=True):
    """Send bytes on an open stream and wait for their echo; answers ``Exchanged``."""

    request_id: str
    body: Body
    idle: float = 0.0
    """Seconds before anything is sent."""
    patience: float = 10.0


class CloseStream(msgspec.Struct, frozen=True, tag=True):
    """Close an open stream; answers ``Done``."""

    request_id: str


class ReadLedger(msgspec.Struct, frozen=True, tag=True):
    """Answers ``Ledger`` with the attempts whose id is, or with ``prefix`` begins with, ``request_id``.

    With an empty id: every attempt but the first ``since``, those without an id among them.
    """

    request_id: str = ""
    prefix: bool = False
    since: int = 0


class AwaitAttempt(msgspec.Struct, frozen=True, tag=True):
    """Answers ``Ledger`` once ``count`` attempts of an id have arrived (or ended), or ``patience`` is over."""

    request_id: str
    count: int = 1
    ended: bool = False
    patience: float = 10.0


class AwaitTermination(msgspec.Struct, frozen=True, tag=True):
    """Answers ``Done`` once the probe has been asked to end; it goes on serving for a while then."""


class Record(msgspec.Struct, frozen=True, tag=True):
    """Relay connections from ``listen`` to ``forward`` and keep their bytes; answers ``Done`` when listening."""

    name: str
    listen: tuple[str, int]
    forward: tuple[str, int]


class Capture(msgspec.Struct, frozen=True, tag=True):
    """Capture packets on every interface, from and to these addresses; answers ``Done`` once a canary was seen."""

    name: str
    client: str
    servers: tuple[str, ...]
    """The server's own address, and that of its service."""
    canaries: tuple[str, ...]
    """Addresses to send canaries to: those that run here."""


class CaptureOutward(msgspec.Struct, frozen=True, tag=True):
    """Capture packets to and from another node; answers ``Done`` once a canary in the clear to that node was seen."""

    name: str
    peer: str
    """The address of the other node."""
    pods: tuple[str, ...]
    """The addresses of pods whose packets count as well."""
    alone: bool = False
    """Whether nothing is captured on the other node."""


class LookFor(msgspec.Struct, frozen=True, tag=True):
    """Search a recorder's bytes so far; answers ``CaptureReply``."""

    name: str
    needles: tuple[str, ...]


class StopRecording(msgspec.Struct, frozen=True, tag=True):
    """Close a recorder with its connections; answers ``Done``."""

    name: str


class FeelPulse(msgspec.Struct, frozen=True, tag=True):
    """Answers ``Felt`` about the time from ``since`` to ``until`` seconds ago, and its worst ``during`` seconds."""

    since: float
    until: float
    during: float


Command = (
    Serve
    | CloseListener
    | SetScript
    | Send
    | FirstExchange
    | CloseConnection
    | Resume
    | Watch
    | StartLoad
    | KeepsUp
    | FinishLoad
    | OpenStream
    | EchoOnStream
    | CloseStream
    | ReadLedger
    | AwaitAttempt
    | AwaitTermination
    | Record
    | Capture
    | CaptureOutward
    | LookFor
    | StopRecording
    | FeelPulse
)


class Call(msgspec.Struct, frozen=True):
    """A command with the number that its reply bears. Replies come in any order."""

    number: int
    command: Command
    settled: int = 0
    """The controller waits for no reply to a call of a lower number any more."""


class Hello(msgspec.Struct, frozen=True):
    """A controller's first message on a socket; over pipes a probe has only one controller, and there is none."""

    session: str
    """The same for all streams of one controller."""


class Welcome(msgspec.Struct, frozen=True):
    """The answer to it."""

    incarnation: str
    """Another one means that the probe was restarted, and has lost its state."""


class Return(msgspec.Struct, frozen=True):
    """A reply with the number of its call."""

    number: int
    reply: Reply
    longest: float = 0.0
    """For how many seconds at a stretch the probe could not react, at most, since it was started."""
