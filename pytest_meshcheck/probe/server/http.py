"""HTTP as a server: HTTP/1.1, h2c and gRPC side by side on one port, depending on the client."""

from pytest_meshcheck.probe.protocol.messages import Listen
from pytest_meshcheck.probe.server.connection import AcceptedConnection
from pytest_meshcheck.probe.server.http1 import Http1Server
from pytest_meshcheck.probe.server.scripts import ScriptedResponses

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What an HTTP/2 client says first (RFC 9113, 3.4)."""


async def serve(responses: ScriptedResponses, port: Listen, connection: AcceptedConnection) -> None:
    """Serve HTTP/1.1, or HTTP/2 to a client that begins with its preface; see ``listeners``."""
    start = b""
    while PREFACE.startswith(start) and len(start) < len(PREFACE):
        data = await connection.read()
        if not data:
            return
        start += data
    connection.put_back(start)
    if not start.startswith(PREFACE):
        await Http1Server(connection, responses, port.port).run()
        return
    # Loaded when first spoken: it takes longer than all else that a probe starts with.
    from pytest_meshcheck.probe.server.http2 import Http2Server  # noqa: PLC0415

    await Http2Server(connection, responses, port.port).run()
