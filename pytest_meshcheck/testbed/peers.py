"""Peers outside the mesh that speak TLS with data planes, as clients and servers, with certificates of our choice."""

import datetime
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from pytest_meshcheck.checks.expect import converge
from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.observation import Ending, Exchange, Protocol
from pytest_meshcheck.model.pki import parsed_chain
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.platforms.base import Platform
from pytest_meshcheck.probe.protocol.messages import Body, ClientTls, Credentials, ServerTls
from pytest_meshcheck.probe.protocol.protocols import GRPC_PATHS, HTTP_1, HTTP_2

NOTHING_ELSE: Mapping[str, Any] = {}

EMPTY_CALL: Mapping[str, Any] = {
    "protocol": Protocol.H2C,
    "method": "POST",
    "path": GRPC_PATHS["unary"],
    "headers": (("content-type", "application/grpc"), ("te", "trailers")),
    "body": Body(text="\0\0\0\0\0"),
}
"""A unary gRPC call as a plain HTTP/2 request; https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests"""

OVER_TLS: Mapping[Protocol, Mapping[str, Any]] = {Protocol.GRPC: EMPTY_CALL}
"""The requests to ports whose protocol no client of a probe speaks over TLS of its own."""


UNHURRIED = 0.05
"""Seconds between two calls: where each passes the API server of a cluster, more would load it."""

REFUSED_IN_A_ROW = 3
"""Calls until a caller counts as refused: on a busy machine one can fail for another reason."""


@dataclass(frozen=True)
class Peers:
    """The TLS that workloads outside the mesh speak.

    Attributes:
        adapter: The mesh, which knows the endpoints of its data planes.
        platform: The platform that the workloads run on.
    """

    adapter: Mesh
    platform: Platform

    async def tls_request(
        self,
        caller: Workload,
        server: Workload,
        credentials: Credentials | None,
        port: str = "http",
        *,
        headers: tuple[tuple[str, str], ...] = (),
        request: Mapping[str, Any] = NOTHING_ELSE,
        **tls: Any,
    ) -> Exchange:
        """A request over a TLS connection of the caller's own, made straight to the server's data plane.

        Over gRPC it is a call with an empty message. Keywords are the fields of ``ClientTls``.

        Args:
            caller: A workload outside of the mesh.
            server: An enrolled workload.
            credentials: The caller's certificate; None: none.
            port: The server's port.
            headers: Added to the request's.
            request: Further fields of ``messages.Request``.
            tls: Further fields of ``ClientTls``.
        """
        endpoint = self.adapter.endpoint(server, port)
        declared = server.spec.port(port).protocol
        call = OVER_TLS.get(declared, NOTHING_ELSE)
        sent = {**call, **request, "headers": (*call.get("headers", ()), *headers)}
        spoken = sent.get("protocol", declared)
        unwanted = None if endpoint.tunnel else HTTP_1 if spoken.facts.http == HTTP_2 else HTTP_2
        alpn = tuple(name for name in endpoint.alpn if name != unwanted)
        tls |= {"server_name": endpoint.server_name, "alpn": alpn, "tunnel": endpoint.tunnel}
        hello = ClientTls(credentials=credentials, **tls)
        return await caller.get(server, port, address=endpoint.address, tls=hello, **sent)

    async def until_refused(self, call: Callable[[], Awaitable[Exchange]], within: float) -> tuple[Exchange, float]:
        """Repeat a call over HTTP until it is refused several times in a row.

        Returns the last call, and the seconds until the first of these, or more than ``within``.
        """

        def is_refused(seen: Exchange) -> bool:
            return seen.ending is not Ending.ANSWERED or seen.status != 200

        return await converge(call, is_refused, within, in_a_row=REFUSED_IN_A_ROW, every=UNHURRIED)

    async def handshake(self, caller: Workload, server: Workload, port: str = "http") -> Exchange:
        """A TLS handshake without a certificate, straight to the server's data plane; the result has its chain."""
        endpoint = self.adapter.endpoint(server, port)
        hello = ClientTls(server_name=endpoint.server_name, alpn=endpoint.alpn)
        return await caller.handshake(endpoint.address, hello, server)

    async def shown_chain(
        self, caller: Workload, server: Workload
    ) -> tuple[tuple[x509.Certificate, ...], datetime.datetime]:
        """A data plane's certificates, leaf first, and the start of the handshake by the clock of the caller's machine.

        Raises:
            Inconclusive: It presents none.
        """
        shown = await self.handshake(caller, server)
        if shown.tls is None:
            raise Inconclusive(f"{server} shows no certificate to {caller}: {shown.ending} {shown.detail}".rstrip())
        return parsed_chain(shown.tls.chain), datetime.datetime.fromtimestamp(shown.wall, datetime.UTC)

    async def impersonate(self, impostor: Workload, credentials: Credentials, port: str = "http") -> None:
        """Have the impostor speak TLS with this certificate from now on, and accept tunnels if data planes do."""
        endpoint = self.adapter.endpoint(impostor, port)
        tunnel = endpoint.address[1] if endpoint.tunnel else None
        await self.platform.serve(impostor, port, ServerTls(credentials=credentials, tunnel=tunnel))
