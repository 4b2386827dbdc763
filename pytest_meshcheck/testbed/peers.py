"""Peers of our own: they speak TLS with data planes, as clients and as servers, by certificates of our choice."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_meshcheck.meshes.base import Mesh
from pytest_meshcheck.model.observation import Exchange, Protocol
from pytest_meshcheck.model.workload import UNARY_PATH, Workload
from pytest_meshcheck.platforms.base import Platform
from pytest_meshcheck.probe.protocol.messages import Body, ClientTls, Credentials, ServerTls

NOTHING_ELSE: Mapping[str, Any] = {}

EMPTY_CALL: Mapping[str, Any] = {
    "protocol": Protocol.H2C,
    "method": "POST",
    "path": UNARY_PATH,
    "headers": (("content-type", "application/grpc"), ("te", "trailers")),
    "body": Body(text="\0\0\0\0\0"),
}
"""A unary gRPC call in HTTP/2's own terms; https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests"""


@dataclass(frozen=True)
class Peers:
    """Made of workloads outside of the mesh.

    Attributes:
        adapter: Tells where its data planes are met.
        platform: Where the workloads run.
    """

    adapter: Mesh
    platform: Platform

    async def knock(
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
            credentials: What the caller shows; None: nothing.
            port: The server's port.
            headers: Added to the request's.
            request: Further fields of ``messages.Request``.
            tls: Further fields of ``ClientTls``.
        """
        endpoint = self.adapter.endpoint(server, port)
        call: Mapping[str, Any] = EMPTY_CALL if server.spec.port(port).protocol is Protocol.GRPC else NOTHING_ELSE
        sent = {**call, **request, "headers": (*call.get("headers", ()), *headers)}
        unwanted = "" if endpoint.tunnel else "http/1.1" if sent.get("protocol") is Protocol.H2C else "h2"
        alpn = tuple(name for name in endpoint.alpn if name != unwanted)
        tls |= {"server_name": endpoint.server_name, "alpn": alpn, "tunnel": endpoint.tunnel}
        spoken = ClientTls(credentials=credentials, **tls)
        return await caller.get(server, port, address=endpoint.address, tls=spoken, **sent)

    async def handshake(self, caller: Workload, server: Workload, port: str = "http") -> Exchange:
        """A TLS handshake without a certificate, made straight to the server's data plane; it tells the chain shown."""
        endpoint = self.adapter.endpoint(server, port)
        return await caller.handshake(endpoint.address, ClientTls(server_name=endpoint.server_name, alpn=endpoint.alpn))

    async def impersonate(self, impostor: Workload, credentials: Credentials, port: str = "http") -> None:
        """Have the impostor speak TLS with this certificate from now on, and take tunnels where data planes do."""
        endpoint = self.adapter.endpoint(impostor, port)
        tunnel = endpoint.address[1] if endpoint.tunnel else None
        await self.platform.serve(impostor, port, ServerTls(credentials=credentials, tunnel=tunnel))
