"""Peers outside the mesh that speak TLS with data planes, as clients and servers, with certificates of our choice."""

import datetime
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.observation import Exchange, Protocol
from pytest_meshcheck.model.pki import parsed_chain
from pytest_meshcheck.model.workload import UNARY_PATH, Workload
from pytest_meshcheck.platforms.base import Platform
from pytest_meshcheck.probe.protocol.messages import Body, ClientTls, Credentials, ServerTls

EMPTY_CALL: dict[str, Any] = {
    "protocol": Protocol.H2C,
    "method": "POST",
    "path": UNARY_PATH,
    "headers": (("content-type", "application/grpc"), ("te", "trailers")),
    "body": Body(text="\0\0\0\0\0"),
}
"""A unary gRPC call as a plain HTTP/2 request; https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests"""


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
        patience: float | None = None,
        **tls: Any,
    ) -> Exchange:
        """A request over a TLS connection of the caller's own, made straight to the server's data plane.

        Over gRPC it is a call with an empty message. Keywords are the fields of ``ClientTls``.
        """
        endpoint = self.adapter.endpoint(server, port)
        request: dict[str, Any] = dict(EMPTY_CALL) if server.spec.port(port).protocol is Protocol.GRPC else {}
        unwanted = "" if endpoint.tunnel else "http/1.1" if request else "h2"
        alpn = tuple(name for name in endpoint.alpn if name != unwanted)
        tls |= {"server_name": endpoint.server_name, "alpn": alpn, "tunnel": endpoint.tunnel}
        request |= {"patience": patience} if patience else {}
        spoken = ClientTls(credentials=credentials, **tls)
        return await caller.get(server, port, address=endpoint.address, tls=spoken, **request)

    async def handshake(self, caller: Workload, server: Workload, port: str = "http") -> Exchange:
        """A TLS handshake without a certificate, straight to the server's data plane; the result has its chain."""
        endpoint = self.adapter.endpoint(server, port)
        return await caller.handshake(endpoint.address, ClientTls(server_name=endpoint.server_name, alpn=endpoint.alpn))

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
