"""Envoy's retries, in the words of its ``retry_on``, which Istio uses as well.

https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter#x-envoy-retry-on
"""

from collections.abc import Mapping

from pytest_meshcheck.model.policy import Failure

CONDITIONS: Mapping[Failure, str] = {
    Failure.CONNECT: "connect-failure",
    Failure.RESET: "reset",
    Failure.REFUSED_STREAM: "refused-stream",
    Failure.GRPC_CANCELLED: "cancelled",
    Failure.GRPC_DEADLINE_EXCEEDED: "deadline-exceeded",
    Failure.GRPC_INTERNAL: "internal",
    Failure.GRPC_RESOURCE_EXHAUSTED: "resource-exhausted",
    Failure.GRPC_UNAVAILABLE: "unavailable",
}
"""Failures by their name in ``retry_on``; statuses are a list of their own."""

STATUSES = (408, 409, 425, 429, 500, 501, 502, 503, 504, 507, 511)
"""Statuses that can be retried."""

GRPC_STATUSES: Mapping[Failure, int] = {
    Failure.GRPC_CANCELLED: 1,
    Failure.GRPC_DEADLINE_EXCEEDED: 4,
    Failure.GRPC_RESOURCE_EXHAUSTED: 8,
    Failure.GRPC_INTERNAL: 13,
    Failure.GRPC_UNAVAILABLE: 14,
}
"""Failures of gRPC by their status."""
