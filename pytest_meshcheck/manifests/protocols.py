"""The protocol of a port, as its service declares it.

https://kubernetes.io/docs/concepts/services-networking/service/#application-protocol
https://istio.io/latest/docs/ops/configuration/traffic-management/protocol-selection/
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_meshcheck.probe.protocol.messages import Protocol

SPOKEN = {
    # declared protocol: what a stand-in speaks on such a port
    "http": Protocol.HTTP1,
    "http1": Protocol.HTTP1,
    "http2": Protocol.H2C,
    "h2c": Protocol.H2C,
    "kubernetes.io/h2c": Protocol.H2C,
    "kubernetes.io/ws": Protocol.HTTP1,
    "grpc": Protocol.GRPC,
    "grpc-web": Protocol.HTTP1,
    "tcp": Protocol.TCP,
    "tls": Protocol.TCP,
    "https": Protocol.TCP,
    "kubernetes.io/wss": Protocol.TCP,
    "mongo": Protocol.TCP,
    "mysql": Protocol.TCP,
    "redis": Protocol.TCP,
    "postgres": Protocol.TCP,
    "postgresql": Protocol.TCP,
    "kafka": Protocol.TCP,
    "amqp": Protocol.TCP,
    "smtp": Protocol.TCP,
}
BY_PREFIX = tuple(sorted((name for name in SPOKEN if "/" not in name), key=len, reverse=True))

UNDECLARED = Protocol.HTTP1
"""What a stand-in speaks on a port whose protocol nothing declares: most of them are HTTP, which a mesh detects."""


@dataclass(frozen=True)
class Declared:
    """The protocol of a port.

    Attributes:
        spoken: What the stand-in speaks.
        by: What declares it, e.g. ``appProtocol grpc``; empty if nothing does.
    """

    spoken: Protocol
    by: str = ""


def declared(port: Mapping[str, Any]) -> Declared:
    """The protocol of a port of a service or container: by ``appProtocol``, then by the prefix of its name."""
    application = str(port.get("appProtocol") or "")
    if application:
        return Declared(SPOKEN.get(application.lower(), Protocol.TCP), f"appProtocol {application}")
    name = str(port.get("name") or "")
    for prefix in BY_PREFIX:
        if name == prefix or name.startswith(f"{prefix}-"):
            return Declared(SPOKEN[prefix], f"name {name}")
    return Declared(UNDECLARED)
