"""Data planes that lose the thread of a request's body, or of an attempt's own limit, between two attempts."""

from dataclasses import replace

from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from tests.falsify import parts
from tests.falsify.defect import Defect, Plant, Resources
from tests.falsify.defects.retry import INTACT, scripted_where_retried
from tests.falsify.meshes.faulty import planted
from tests.falsify.meshes.sparing import NoHttp2LimitDocumented

BODY = "retry/body-late-and-refused-early"

UPSTREAM = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
CODEC = {
    "name": "envoy.filters.http.upstream_codec",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec",
    },
}

FIRST_PIECE_TWICE = """
function envoy_on_request(handle)
  if (tonumber(handle:headers():get("x-envoy-attempt-count")) or 1) > 1 then
    for piece in handle:bodyChunks() do
      local bytes = piece:getBytes(0, piece:length())
      if #bytes > 0 then
        piece:setBytes(bytes .. bytes)
        return
      end
    end
  end
end
"""
FIRST_PIECE_LOST = FIRST_PIECE_TWICE.replace("bytes .. bytes", '""')
HTTP2_BODY_REFUSED = """
function envoy_on_request(handle)
  if handle:streamInfo():protocol() == "HTTP/2" and handle:headers():get(":method") == "POST" then
    handle:respond({[":status"] = "413"}, "")
  end
end
"""


def on_each_attempt(source: str) -> Plant:
    """Run a script on each attempt by itself, as the client's data plane sends it."""

    def plant(_workload: str, resources: Resources) -> None:
        parts.number_attempts(resources)
        for cluster in resources["clusters"]:
            if cluster["name"].startswith("outbound.") and "typed_extension_protocol_options" in cluster:
                cluster["typed_extension_protocol_options"][UPSTREAM]["http_filters"] = [parts.lua(source), CODEC]

    return plant


class UnfinishedServedTwice(EnvoyMesh):
    """Documents that it waits for the whole body before it retries; does not, and retries once more after a success."""

    def __init__(self, version: str | None = None, *, timeout_scale: float = 1.0) -> None:
        super().__init__(version, publish_hook=served_twice, timeout_scale=timeout_scale)
        retry = replace(self.documented.retry, unfinished_retried=False)
        self.documented = replace(self.documented, retry=retry)


def served_twice(_workload: str, resources: Resources) -> Resources:
    for policy in parts.retry_policies(resources):
        policy["num_retries"] += 1
        policy["retriable_status_codes"] = [*policy.get("retriable_status_codes", ()), 200]
    return resources


DEFECTS = {
    "first-piece-twice": Defect(
        "A retried attempt sends the first piece of the body twice, where the rest of it comes late.",
        tuple(
            f"{BODY}[{point}-{case}]"
            for point in ("before", "inside")
            for case in ("http-status", "h2c-refused-stream", "grpc-status")
        ),
        on_each_attempt(FIRST_PIECE_TWICE),
    ),
    "first-piece-lost": Defect(
        "A retried attempt sends the body without its first piece.",
        (f"{BODY}[inside-h2c-reset]", f"{BODY}[after-http-reset]"),
        on_each_attempt(FIRST_PIECE_LOST),
    ),
    "unfinished-served-twice": Defect(
        "The mesh documents that it does not retry an incomplete body, does so, and retries once more after a success.",
        (f"{BODY}[before-http-status]", f"{BODY}[inside-http-status]"),
        mesh=UnfinishedServedTwice,
    ),
    "http2-bodies-refused": Defect(
        "Where retries are in force, a request with a body is answered with 413 over HTTP/2.",
        (f"{INTACT}[1]", f"{INTACT}[65537]", f"{INTACT}[1048576]"),
        mesh=planted(scripted_where_retried(HTTP2_BODY_REFUSED), NoHttp2LimitDocumented),
    ),
}
