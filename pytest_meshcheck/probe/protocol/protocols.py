"""The protocols of a probe: one row of facts each, which everything else asks instead of naming protocols.

A protocol has a module of its name in ``probe.client`` and, if a port can serve it, one in ``probe.server``.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

HTTP_1, HTTP_2 = "http/1.1", "h2"
"""Versions of HTTP, by their names in ALPN."""


@dataclass(frozen=True)
class Facts:
    """A protocol, for those who do not speak it themselves.

    Attributes:
        client: The module of ``probe.client`` with its ``speak``, and with its ``open_stream`` if it has streams.
        server: The module of ``probe.server`` with its ``serve``; None if no port can serve it.
        http: The version of HTTP that carries it; None: a proxy sees bytes, and neither requests nor headers.
        success: The status of an exchange that was served; None: answers have no status.
        error: The lowest status that says failure.
        grpc: Whether its status is gRPC's, and not that of HTTP.
        upgrade: The protocol that HTTP/1.1 is upgraded to; None: no upgrade.
        streams: Whether a client can keep a stream open.
        kept: Whether a client can keep a connection for several exchanges.
        declared: ``appProtocol`` of a Kubernetes service's port; None where the port's name says enough.
        paths: By kind of call, the path of a request that names none.
    """

    client: str
    server: str | None
    http: str | None = None
    success: int | None = None
    error: int = 400
    grpc: bool = False
    upgrade: str | None = None
    streams: bool = False
    kept: bool = False
    declared: str | None = None
    paths: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_http(self) -> bool:
        """Whether it is made of requests with headers, which carry request ids and which routes act on."""
        return self.http is not None

    @property
    def has_status(self) -> bool:
        """Whether an answer says if it is a success; without that any whole answer is one."""
        return self.success is not None


class Protocol(enum.StrEnum):
    """The protocol spoken on a connection."""

    HTTP1 = "http/1.1"
    H2C = "h2c"
    GRPC = "grpc"
    WEBSOCKET = "websocket"
    TCP = "tcp"
    TLS = "tls"

    @property
    def facts(self) -> Facts:
        """Its properties."""
        return FACTS[self]


GRPC_PATHS = {
    "unary": "/meshcheck.Probe/Unary",
    "client-stream": "/meshcheck.Probe/ClientStream",
    "server-stream": "/meshcheck.Probe/ServerStream",
    "bidi": "/meshcheck.Probe/Bidi",
}

FACTS: Mapping[Protocol, Facts] = {
    # protocol: client module, server module, version of HTTP, status of success
    Protocol.HTTP1: Facts("http1", "http", HTTP_1, 200, kept=True),
    Protocol.H2C: Facts("http2", "http", HTTP_2, 200, kept=True, declared="kubernetes.io/h2c"),
    Protocol.GRPC: Facts("grpc", "http", HTTP_2, 0, error=1, grpc=True, streams=True, paths=GRPC_PATHS),
    Protocol.WEBSOCKET: Facts(
        "websocket", "websocket", HTTP_1, 101, upgrade="websocket", streams=True, declared="kubernetes.io/ws"
    ),
    Protocol.TCP: Facts("tcp", "tcp", streams=True),
    Protocol.TLS: Facts("handshake", None),
}
"""Application protocols are declared only where names are ambiguous: meshes differ in what they take ``http`` and
``grpc`` for, and Linkerd does not look into unknown protocols;
https://kubernetes.io/docs/concepts/services-networking/service/#application-protocol"""
