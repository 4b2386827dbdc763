"""The terms of what a probe is told to do on the network, and of what it saw there.

Times are seconds of ``time.monotonic()`` of the machine that a probe runs on, so that those of a client and of a server
are not comparable; ``wall`` is ``time.time()``. Header names and values, and paths, are
the received octets decoded as Latin-1, so that nothing is lost or normalised.
"""

import enum

import msgspec

REQUEST_ID_HEADER = "x-meshcheck-id"
"""Joins what the client saw with what servers saw. HTTP and gRPC carry it as a header, TCP in the first line sent."""

POLICIES_HEADER = "x-meshcheck-policies"
"""Header by which a client's data plane shows which policies it goes by: of the answer, or of what it sends."""

POLICIES_SEEN_HEADER = "x-meshcheck-policies-seen"
"""Header of an unscripted answer: what the request's ``POLICIES_HEADER`` was."""

TCP_BANNER = b"meshcheck ready\n"
"""What a server-first port says before it hears anything."""


class Protocol(enum.StrEnum):
    """What is spoken on a connection."""

    HTTP1 = "http/1.1"
    H2C = "h2c"
    GRPC = "grpc"
    TCP = "tcp"
    TLS = "tls"


class Ending(enum.StrEnum):
    """How an exchange ended, as the client saw it."""

    ANSWERED = "answered"
    """A whole answer arrived. Whether it is the right one is for the check to say."""
    CONNECT_REFUSED = "connect-refused"
    """Nobody listens there."""
    UNREACHABLE = "unreachable"
    """No route, no such name, or no answer to the connection attempt."""
    RESET = "reset"
    """The connection (TCP RST) or the stream (RST_STREAM) was reset."""
    CLOSED = "closed"
    """The peer ended the connection in an orderly way before any of an answer came."""
    TRUNCATED = "truncated"
    """The answer began and ended early."""
    ALERT = "alert"
    """The peer sent a TLS alert; ``detail`` names it, e.g. ``certificate_required``."""
    HANDSHAKE_FAILED = "handshake-failed"
    """The TLS handshake failed without an alert from the peer."""
    TIMED_OUT = "timed-out"
    """The probe's own patience ran out; nothing is known of the answer."""
    MALFORMED = "malformed"
    """The bytes received are not the protocol that was spoken; ``detail`` says why."""
    TUNNEL_REFUSED = "tunnel-refused"
    """The peer answered CONNECT with another status than 2xx; ``detail`` names it. What was to go inside never left."""


class Behaviour(enum.StrEnum):
    """What a server does with one attempt."""

    ANSWER = "answer"
    RESET = "reset"
    """Read the whole request, then reset the connection (TCP RST; RST_STREAM INTERNAL_ERROR over HTTP/2)."""
    REFUSE_STREAM = "refuse-stream"
    """RST_STREAM REFUSED_STREAM; over HTTP/1.1 the same as RESET."""
    CLOSE = "close"
    """Read the whole request, then close without an answer."""
    STALL = "stall"
    """Read the whole request and never answer."""
    EARLY = "early"
    """Answer as soon as the request's head is there, without waiting for its body."""


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate with its key, as PEM. The representation never shows the key."""

    chain: bytes
    """Leaf first, then intermediates."""
    key: bytes

    def __repr__(self) -> str:
        return "Credentials(…)"


class ClientTls(msgspec.Struct, frozen=True, kw_only=True):
    """How a client speaks TLS. It accepts any server certificate and reports the chain it was shown."""

    credentials: Credentials | None = None
    server_name: str | None = None
    alpn: tuple[str, ...] = ()
    minimum: str = "TLSv1.2"
    maximum: str = "TLSv1.3"
    """``TLSv1``, ``TLSv1.1``, ``TLSv1.2`` or ``TLSv1.3``."""
    tunnel: str = ""
    """The authority of an HTTP/2 CONNECT, inside whose stream the exchange is made; empty: there is no tunnel."""


class ServerTls(msgspec.Struct, frozen=True, kw_only=True):
    """How a server port speaks TLS by itself; no client certificate is asked for."""

    credentials: Credentials
    alpn: tuple[str, ...] = ("http/1.1", "h2")
    tunnel: int | None = None
    """The number of the port where TLS is spoken instead, and where an HTTP/2 CONNECT leads to the port itself."""


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """A body of ``length`` octets, made from ``seed`` by ``pytest_meshcheck.probe.body.octets``; ``text`` wins."""

    length: int = 0
    seed: int = 0
    text: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one attempt."""

    status: int = 200
    """Over gRPC, anything but 200 is an HTTP answer without gRPC in it."""
    headers: tuple[tuple[str, str], ...] = ()
    body: Body = Body(text="served\n")
    """Over gRPC the message; left as it is, the request's messages come back."""
    trailers: tuple[tuple[str, str], ...] = ()
    informational: tuple[int, ...] = ()
    """1xx statuses sent before the answer."""
    behaviour: Behaviour = Behaviour.ANSWER
    delay: float = 0.0
    """Seconds between the end of the request and the head of the answer."""
    body_delay: float = 0.0
    """Seconds between the first and the second half of the body."""
    grpc_status: int = 0
    grpc_message: str = ""
    trailers_only: bool = False
    """A failing gRPC status comes without initial metadata (Trailers-Only)."""


class Listen(msgspec.Struct, frozen=True, kw_only=True):
    """One port to serve.

    HTTP1, H2C and GRPC all serve HTTP/1.1, h2c and gRPC side by side, by what the client speaks; TCP echoes.
    """

    port: str
    """The port's name."""
    address: tuple[str, int]
    protocol: Protocol
    server_first: bool = False
    tls: ServerTls | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One exchange for a client to make, on a connection of its own. Nothing is retried, pooled or normalised."""

    request_id: str
    address: tuple[str, int]
    protocol: Protocol = Protocol.HTTP1
    authority: str = ""
    method: str = "GET"
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    body: Body = Body()
    chunked: bool = False
    """HTTP/1.1: Transfer-Encoding chunked in place of Content-Length."""
    body_delay: float = 0.0
    """Seconds between the request's head and its body."""
    raw: bytes | None = None
    """Octets sent as they are in place of a request."""
    tls: ClientTls | None = None
    patience: float = 10.0
    """Seconds after which the client gives up (``Ending.TIMED_OUT``)."""
    deadline: float | None = None
    """gRPC: seconds, sent as ``grpc-timeout``. Its passing at the client is ``Ending.TIMED_OUT`` with gRPC status 4."""
    kind: str = "unary"
    """gRPC: ``unary``, ``client-stream``, ``server-stream`` or ``bidi``."""
    messages: int = 1
    """gRPC: messages to send, or to ask for, on the streaming kinds."""
    server_first: bool = False
    """TCP: wait for the server's banner before anything is sent."""


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """What a TLS handshake agreed on."""

    version: str
    cipher: str
    group: str
    """The key exchange group, e.g. ``X25519`` or ``X25519MLKEM768``; empty where it was not seen."""
    alpn: str
    chain: tuple[bytes, ...]
    """The chain that the server showed, DER, leaf first."""


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """What the client saw of one request."""

    request_id: str
    protocol: Protocol
    ending: Ending
    detail: str = ""
    status: int | None = None
    grpc_status: int | None = None
    grpc_message: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    trailers: tuple[tuple[str, str], ...] = ()
    informational: tuple[int, ...] = ()
    body_length: int = 0
    body_sha256: str = ""
    body_start: str = ""
    """The first 400 octets of the body, as Latin-1."""
    messages: int = 0
    """gRPC: messages received."""
    tls: Tls | None = None
    local: tuple[str, int] | None = None
    remote: tuple[str, int] | None = None
    started: float
    ended: float
    wall: float

    @property
    def seconds(self) -> float:
        """How long the exchange took."""
        return self.ended - self.started

    def header(self, name: str) -> str | None:
        """The value of a header of the answer, several joined with ``, ``; None where it is absent."""
        return joined(self.headers, name)


class AttemptEnding(enum.StrEnum):
    """How an attempt ended, as the server saw it."""

    OPEN = "open"
    ANSWERED = "answered"
    CUT = "cut"
    """The server itself reset or closed it, as scripted."""
    CANCELLED = "cancelled"
    """The caller reset the stream or closed the connection before the answer was whole."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """What a server saw of one try of a request."""

    request_id: str
    """Empty for a TCP connection that never said its id."""
    number: int
    """1 for the first attempt of this id that this instance saw; 0 while a TCP connection has not said its id."""
    instance: str
    port: str
    protocol: Protocol
    method: str = ""
    path: str = ""
    authority: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body_length: int = 0
    """Octets received so far: of the body, over gRPC of the messages in it, over TCP of what followed the id line."""
    body_sha256: str = ""
    """Of the same octets, also where there are none."""
    peer: tuple[str, int] | None = None
    ending: AttemptEnding = AttemptEnding.OPEN
    detail: str = ""
    arrived: float
    answered: float | None = None
    """When the head of the answer was sent."""
    ended: float | None = None
    wall: float

    @property
    def seconds(self) -> float | None:
        """How long the server had to do with it; None while it is open."""
        return None if self.ended is None else self.ended - self.arrived

    def header(self, name: str) -> str | None:
        """The value of a header of the request, several joined with ``, ``; None where it is absent."""
        return joined(self.headers, name)


def joined(headers: tuple[tuple[str, str], ...], name: str) -> str | None:
    """Join the values of one header, or return None where there is none."""
    values = [value for key, value in headers if key.lower() == name.lower()]
    return ", ".join(values) if values else None


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Open-loop load: arrivals at ``rate`` per second on a fixed schedule, never slowed by answers.

    Request ids are ``<request_id>-<n>`` from 0. Each request is ``template`` on a connection of its own.
    """

    request_id: str
    template: Request
    rate: float
    seconds: float | None = None
    """None: until it is told to stop."""


class LoadResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a load: as many entries in each list as there were arrivals, in their order."""

    request_id: str
    scheduled: tuple[float, ...]
    """When each request was due."""
    sent: tuple[float, ...]
    """When each request was really begun; later than due means that the client could not keep up."""
    ended: tuple[float, ...]
    endings: tuple[Ending, ...]
    statuses: tuple[int, ...]
    """HTTP status, or gRPC status for gRPC; -1 where there is none."""
    details: tuple[str, ...]


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What a wire recorder saw of what it was asked to look for."""

    connections: int
    octets_to_server: int
    octets_to_client: int
    found: tuple[str, ...]
    """Those of the needles that were there, in either direction."""
    excerpt: bytes
    """The first 4096 octets of the newest connection, both directions, in the order seen."""


class Sign(enum.StrEnum):
    """What is looked at in an answer."""

    SERVED = "served"
    """Whether it is the application's own: true or false."""
    POLICIES = "policies"
    """Which policies the client's data plane shows that it goes by: their mark; None for none, false for no answer."""


Shown = bool | str | None


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """A request, made again and again under ids of its own, until it is answered as expected."""

    request: Request
    sign: Sign
    expected: Shown | msgspec.UnsetType = msgspec.UNSET
    """Unset: whatever it is, as long as it is the same."""


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen last, and whether it was as expected, several times in a row."""

    shown: Shown
    convincing: bool
