"""Protocols of ports as a sidecar treats them: HTTP, or bytes."""

from pytest_meshcheck.model.workload_spec import Port
from pytest_meshcheck.probe.protocol.messages import Protocol

HTTP_PROTOCOLS = frozenset({Protocol.HTTP1, Protocol.H2C, Protocol.GRPC})


def is_http(port: Port) -> bool:
    """Whether the sidecar parses requests on a port."""
    return port.protocol in HTTP_PROTOCOLS
