"""Embedded meshes that retry less often than the default one, within their documentation."""

from dataclasses import replace

from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from tests.falsify import parts
from tests.falsify.defect import Resources
from tests.falsify.meshes.faulty import planted

HTTP2_BODY_NOT_RETRIED = """
function envoy_on_request(handle)
  if handle:streamInfo():protocol() == "HTTP/2" and handle:headers():get(":method") == "POST" then
    handle:headers():replace("x-envoy-max-retries", "0")
  end
end
"""
RETRY_AFTER_NOT_RETRIED = """
function envoy_on_response(handle)
  if handle:headers():get("retry-after") then
    handle:headers():replace("x-envoy-ratelimited", "true")
  end
end
"""


class NoHttp2LimitDocumented(EnvoyMesh):
    """Documents nothing about retries of requests with a body over HTTP/2."""

    documented = replace(EnvoyMesh.documented, retry=replace(EnvoyMesh.documented.retry, http2_body_limit=None))


def http2_bodies_not_retried(_workload: str, resources: Resources) -> None:
    parts.script(HTTP2_BODY_NOT_RETRIED, *parts.listeners_that_retry(resources))


Http2BodiesNotRetried = planted(http2_bodies_not_retried, NoHttp2LimitDocumented)
"""Does not retry a request with a body over HTTP/2; nothing is documented about that."""


def retry_after_not_retried(_workload: str, resources: Resources) -> None:
    parts.script(RETRY_AFTER_NOT_RETRIED, *parts.inbound(resources))


RetryAfterNotRetried = planted(retry_after_not_retried)
"""Does not retry an answer with Retry-After."""
