"""Data planes that cut what is idle or old, that repeat what was served, and that lose a part of what takes long."""

from typing import Any

from tests.falsify import parts
from tests.falsify.defect import Defect, Plant, Resources
from tests.falsify.defects.retry import ALWAYS, BODY, by_default
from tests.falsify.defects.timeout import limit_where_off

SECOND_HALF_LOST = """
function envoy_on_response(handle)
  handle:headers():remove("content-length")
  local number = 0
  for piece in handle:bodyChunks() do
    number = number + 1
    if number > 1 then
      piece:setBytes("")
    end
  end
end
"""


def each_manager(**fields: Any) -> Plant:
    """Change the connection managers for calls to services."""

    def plant(_workload: str, resources: Resources) -> None:
        for manager in parts.managers(*parts.outbound(resources)):
            manager.update(fields)

    return plant


def idle_tcp_cut(_workload: str, resources: Resources) -> None:
    for proxy in parts.proxies(*parts.outbound(resources)):
        proxy["idle_timeout"] = "0.5s"


def only_heads_limited(_workload: str, resources: Resources) -> None:
    """A limit of half a second without a byte in place of any other, and half of the answer that it lets through."""
    for action in parts.actions(resources):
        if action["timeout"] != parts.OFF:
            action |= {"timeout": parts.OFF, "idle_timeout": "0.5s"}
    parts.script(SECOND_HALF_LOST, *parts.outbound(resources))


def uploads_truncated(_workload: str, resources: Resources) -> None:
    parts.script(BODY.format(condition=ALWAYS, bytes="string.sub(bytes, 1, -2)"), *parts.outbound(resources))


IDLE = "timeout/idle-connection-is-reusable"
STREAM = "timeout/stream-without-limit-lives"
BODY_AFTER_HEADERS = "timeout/response-body-after-headers"
UPLOAD = "timeout/slow-upload"

DEFECTS = {
    "idle-connections-closed": Defect(
        "A connection is closed after a second without a request.",
        (f"{IDLE}[two-seconds]",),
        each_manager(common_http_protocol_options={"idle_timeout": "1s"}, drain_timeout="0.1s"),
    ),
    "served-requests-repeated": Defect(
        "A request that was served is sent again, though no policy asks for retries.",
        (f"{IDLE}[two-seconds]",),
        by_default(retry_on="retriable-status-codes", retriable_status_codes=[200], num_retries=1),
    ),
    "idle-streams-cut": Defect(
        "A stream or request is cut after half a second without a byte.",
        (f"{STREAM}[a-second]",),
        each_manager(stream_idle_timeout="0.5s"),
    ),
    "old-streams-cut": Defect(
        "A stream or request is cut after half a second, whatever goes over it.",
        (f"{STREAM}[a-second]",),
        each_manager(common_http_protocol_options={"idle_timeout": parts.OFF, "max_stream_duration": "0.5s"}),
    ),
    "unlimited-requests-cut": Defect(
        "A request without a limit is cut after 0.8 seconds.", (f"{STREAM}[a-second]",), limit_where_off("0.8s")
    ),
    "idle-tcp-cut": Defect(
        "A TCP connection is cut after half a second without a byte.", (f"{STREAM}[a-second]",), idle_tcp_cut
    ),
    "half-an-answer-for-the-whole": Defect(
        "Of an answer that ends after its limit, the first half is passed on as if it were all of it.",
        (f"{BODY_AFTER_HEADERS}[http]", f"{BODY_AFTER_HEADERS}[h2c]"),
        only_heads_limited,
    ),
    "slow-uploads-refused": Defect(
        "A request that takes longer than 0.2 seconds to arrive is answered with 408, which no documentation mentions.",
        (f"{UPLOAD}[http]", f"{UPLOAD}[h2c]"),
        each_manager(request_timeout="0.2s"),
    ),
    "uploads-truncated": Defect(
        "The last byte of a request body is lost.", (f"{UPLOAD}[http]", f"{UPLOAD}[h2c]"), uploads_truncated
    ),
}
