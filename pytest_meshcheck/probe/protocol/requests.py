"""The network operations that a probe can be asked for.

Header names and values, and paths, are bytes decoded as Latin-1, so that nothing is lost or normalised.
"""

import enum

import msgspec

from pytest_meshcheck.probe.protocol.protocols import Protocol

REQUEST_ID_HEADER = "x-meshcheck-id"
"""Joins the client's observations with the servers'. HTTP and gRPC carry it as a header, TCP in the first line sent."""

POLICIES_HEADER = "x-meshcheck-policies"
"""Header by which a client's data plane shows which policies it applies, in the answer or the request."""

POLICIES_SEEN_HEADER = "x-meshcheck-policies-seen"
"""Header of an unscripted answer: the value of the request's ``POLICIES_HEADER``."""

TCP_BANNER = b"meshcheck ready\n"
"""The banner of a server-first port, sent before it receives anything."""


class Behaviour(enum.StrEnum):
    """A server's reaction to one attempt, once it has read the request, or the part that ``Answer.after`` sets."""

    ANSWER = "answer"
    RESET = "reset"
    """Reset the connection (TCP RST; RST_STREAM INTERNAL_ERROR over HTTP/2)."""
    REFUSE_STREAM = "refuse-stream"
    """RST_STREAM REFUSED_STREAM; over HTTP/1.1 the same as RESET."""
    CLOSE = "close"
    """Close without an answer."""
    STALL = "stall"
    """Never answer."""


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
    session: str = ""
    """The name of a TLS session that is resumed if the probe has it, and kept under this name; empty: none."""
    tunnel: str = ""
    """The authority of an HTTP/2 CONNECT, inside whose stream the exchange is made; empty: there is no tunnel."""


class ServerTls(msgspec.Struct, frozen=True, kw_only=True):
    """How a server port speaks TLS by itself; no client certificate is asked for."""

    credentials: Credentials
    alpn: tuple[str, ...] = ("http/1.1", "h2")
    tunnel: int | None = None
    """The number of the port where TLS is spoken instead, and where an HTTP/2 CONNECT leads to the port itself."""


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """A body of ``length`` bytes, made from ``seed`` by ``probe.protocol.body.seeded_bytes``.

    ``text`` wins over that, and ``data`` over both.
    """

    length: int = 0
    seed: int = 0
    text: str = ""
    data: bytes = b""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one attempt."""

    status: int = 200
    """Over gRPC, or whatever else goes inside of HTTP, anything but 200 is an answer of HTTP alone."""
    headers: tuple[tuple[str, str], ...] = ()
    body: Body = Body(text="served\n")
    """Of a protocol that has messages, the message; by default the request's messages come back."""
    trailers: tuple[tuple[str, str], ...] = ()
    informational: tuple[int, ...] = ()
    """1xx statuses sent before the answer."""
    behaviour: Behaviour = Behaviour.ANSWER
    after: int | None = None
    """Bytes of the request's body that are waited for, 0 for its head alone; None: the whole request."""
    delay: float = 0.0
    """Seconds between the end of that and the head of the answer."""
    body_delay: float = 0.0
    """Seconds between the first and the second half of the body, or between ``messages`` and the failure."""
    grpc_status: int = 0
    grpc_message: str = ""
    messages: int = 0
    """Messages that a stream of gRPC answers with before it fails, by its status or its behaviour."""
    trailers_only: bool = False
    """The gRPC status comes without initial metadata (Trailers-Only), and without a message."""
    onward: "Request | None" = None
    """A request that the attempt makes before it is answered; where that is served, ``Answer()`` is the answer."""


class Listen(msgspec.Struct, frozen=True, kw_only=True):
    """One port to serve.

    HTTP1, H2C and GRPC all serve HTTP/1.1, h2c and gRPC side by side, depending on the client; TCP echoes.
    """

    port: str
    """The port's name."""
    address: tuple[str, int]
    protocol: Protocol
    server_first: bool = False
    tls: ServerTls | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One exchange for a client to make, on a connection of its own unless it names one that is kept.

    Nothing is retried, pooled or normalised.
    """

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
    pause_after: int | None = None
    """Bytes of the body, on gRPC's streaming kinds messages, that are sent before ``Resume``; None: all of it."""
    raw: bytes | None = None
    """Bytes sent as they are in place of a request."""
    tls: ClientTls | None = None
    connection: str = ""
    """The name of a kept connection: the first request with this name dials it, and it is never dialled again."""
    idle: float = 0.0
    """Seconds before anything of this request is sent, in which its connection, if it is kept, may be idle."""
    patience: float = 10.0
    """Seconds after which the client gives up (``Ending.TIMED_OUT``)."""
    deadline: float | None = None
    """gRPC: seconds, sent as ``grpc-timeout``. Its passing at the client is ``Ending.TIMED_OUT`` with gRPC status 4."""
    kind: str = "unary"
    """gRPC: ``unary``, ``client-stream``, ``server-stream`` or ``bidi``."""
    messages: int = 1
    """Messages to send, or to ask for, of a protocol that has them; over gRPC on the streaming kinds."""
    server_first: bool = False
    """TCP: the server's banner comes before the echo."""
    at_once: bool = False
    """TCP: send without waiting for the server's banner."""
    excerpt: int = 400
    """Bytes of the answer's body that are kept, from its start."""


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Open-loop load: arrivals at ``rate`` per second on a fixed schedule, never slowed by answers.

    Request ids are ``<request_id>-<n>`` from 0. Each request is ``template`` on a connection of its own.
    """

    request_id: str
    template: Request
    rate: float
    seconds: float | None = None
    """None: until ``FinishLoad``."""
    late: float = 10.0
    """Seconds. Once a request is sent so much later than it was due, the machine does not carry the load: it ends."""


class Property(enum.StrEnum):
    """The property of an answer that a poll examines."""

    SERVED = "served"
    """Whether it is the application's own: true or false; ``SILENT`` if the client gave up."""
    POLICIES = "policies"
    """The mark of the policies that the client's data plane applies; None for none, false for no answer."""
    POLICIES_SERVED = "policies-served"
    """The same of an answer of the application alone: false for an answer of a data plane."""


PolledValue = bool | str | None

SILENT = "silent"
"""The value where the client got neither an answer nor a rejection, which a stall of the machine also explains."""


class Poll(msgspec.Struct, frozen=True, kw_only=True):
    """A request, made again and again under ids of its own, until it is answered as expected."""

    request: Request
    examined: Property
    expected: PolledValue | msgspec.UnsetType = msgspec.UNSET
    """Unset: any value, as long as it repeats."""
    drops: bool = False
    """Whether silence is a refusal: a policy drops packets."""
