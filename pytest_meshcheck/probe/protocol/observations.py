"""A probe's observations on the network.

Times are seconds of ``time.monotonic()`` of the machine that a probe runs on, so that times of a client and of a server
are not comparable; ``wall`` is ``time.time()``. Header names and values, and paths, are the received bytes decoded as
Latin-1, so that nothing is lost or normalised.
"""

import enum

import msgspec

from pytest_meshcheck.probe.protocol.protocols import Protocol
from pytest_meshcheck.probe.protocol.requests import (
    POLICIES_HEADER,
    POLICIES_SEEN_HEADER,
    SILENT,
    PolledValue,
    Property,
)


class Ending(enum.StrEnum):
    """How an exchange ended, as the client saw it."""

    ANSWERED = "answered"
    """A whole answer arrived. Whether it is the right one is for the check to say."""
    CONNECT_REFUSED = "connect-refused"
    """The port is closed."""
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
    """The bytes received are not the protocol that was spoken; ``detail`` has the reason."""
    TUNNEL_REFUSED = "tunnel-refused"
    """The peer answered CONNECT with another status than 2xx; ``detail`` names it. The inner exchange was not sent."""


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters negotiated in a TLS handshake."""

    version: str
    cipher: str
    group: str
    """The key exchange group, e.g. ``X25519`` or ``X25519MLKEM768``; empty if it was not seen."""
    alpn: str
    chain: tuple[bytes, ...]
    """The chain that the server showed, DER, leaf first; of a resumed session, what OpenSSL has kept of it."""
    resumed: bool = False
    """Whether an earlier session was resumed, without certificates in the handshake."""


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """The client's observation of one request."""

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
    """The first bytes of the body, as many as ``Request.excerpt`` says, as Latin-1."""
    messages: int = 0
    """Messages received, of a protocol that has them."""
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

    @property
    def code(self) -> int | None:
        """The status in the protocol's own terms: gRPC's of a gRPC call, else HTTP's; None if there is none."""
        return self.grpc_status if self.protocol.facts.grpc else self.status

    @property
    def served(self) -> bool:
        """Whether a whole answer came that says success, as the protocol has it; in HTTP/2 gRPC may have failed."""
        return self.ending is Ending.ANSWERED and self.code == self.protocol.facts.success and not self.grpc_status

    def header(self, name: str) -> str | None:
        """The value of a header of the answer, several joined with ``, ``; None if it is absent."""
        return joined(self.headers, name)

    def shows(self, examined: Property) -> PolledValue:
        """The value of a property; without an answer false or, where only the answer counts, ``SILENT``."""
        if examined is Property.SERVED and self.ending in SILENCE:
            return SILENT
        if self.ending is not Ending.ANSWERED or (examined is Property.POLICIES_SERVED and not self.served):
            return False
        if examined is Property.SERVED:
            return self.served
        value = self.header(POLICIES_HEADER)
        return self.header(POLICIES_SEEN_HEADER) if value is None else value


SILENCE = (Ending.TIMED_OUT, Ending.UNREACHABLE)
"""Endings with neither an answer nor a rejection: a policy drops packets, or the machine is too slow."""


class AttemptEnding(enum.StrEnum):
    """How an attempt ended, as the server saw it."""

    OPEN = "open"
    ANSWERED = "answered"
    CUT = "cut"
    """The server itself reset or closed it, as scripted."""
    CANCELLED = "cancelled"
    """The caller reset the stream or closed the connection before the answer was whole."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A server's observation of one attempt at a request."""

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
    """Bytes received so far: of the body, or of the messages in it; over TCP of what followed the id line."""
    body_sha256: str = ""
    """Of the same bytes, also if there are none."""
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
        """The value of a header of the request, several joined with ``, ``; None if it is absent."""
        return joined(self.headers, name)


def joined(headers: tuple[tuple[str, str], ...], name: str) -> str | None:
    """Join the values of one header, or return None if there is none."""
    values = [value for key, value in headers if key.lower() == name.lower()]
    return ", ".join(values) if values else None


class LoadResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a load: each list has one entry per arrival, in their order."""

    request_id: str
    protocol: Protocol = Protocol.HTTP1
    scheduled: tuple[float, ...]
    """When each request was due."""
    sent: tuple[float, ...]
    """When each request was really begun; later than due means that the client could not keep up."""
    ended: tuple[float, ...]
    endings: tuple[Ending, ...]
    statuses: tuple[int, ...]
    """``Exchange.code`` of each; -1 if there is none."""
    details: tuple[str, ...]
    policies: tuple[PolledValue, ...] = ()
    """``Property.POLICIES`` of each."""
    overrun: bool = False
    """It ended by itself, as requests were sent too late."""
    began: float = 0.0
    """When the first request was due, by the same clock as these times."""
    wall: float = 0.0
    """The same by the wall clock."""


class CaptureResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a search in a wire recorder's bytes."""

    connections: int
    bytes_to_server: int
    bytes_to_client: int
    found: tuple[str, ...]
    """The needles found, in either direction."""
    excerpt: bytes
    """The first 4096 bytes of the newest connection, both directions, in the order seen."""


class PollResult(msgspec.Struct, frozen=True, kw_only=True):
    """The last value, and whether several consecutive requests showed it as expected, from the first one on or not."""

    value: PolledValue
    convincing: bool
    at_once: bool
    begun: float = 0.0
    """Seconds from the start of the poll to that of the first of these requests."""
    ended: float = 0.0
    """Seconds from the start of the poll to the end of the last of them."""


class Standstill(msgspec.Struct, frozen=True, kw_only=True):
    """For how long a process could not react, in the time that was asked about."""

    longest: float = 0.0
    """Seconds at a stretch."""
    lost: float = 0.0
    """Seconds in all, in the worst window of the length that was asked for."""
    shortage: str = ""
    """The resource that the process has run out of since it was started, e.g. ``open files (limit 256)``."""
