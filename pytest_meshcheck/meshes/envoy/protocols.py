"""Which ports a sidecar understands as HTTP, and which it passes on as octets."""

from pytest_meshcheck.probe.messages import Protocol
from pytest_meshcheck.stage.spec import Port

HTTP_PROTOCOLS = frozenset({Protocol.HTTP1, Protocol.H2C, Protocol.GRPC})


def is_http(port: Port) -> bool:
    """Whether requests, not only octets, are seen on a port."""
    return port.protocol in HTTP_PROTOCOLS
