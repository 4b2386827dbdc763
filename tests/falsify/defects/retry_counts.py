"""Data planes that ask once more, or report something else, depending on how often a request was tried."""

from tests.falsify import parts
from tests.falsify.defect import Defect, Plant, Resources
from tests.falsify.defects.retry import EXHAUSTED, GRPC_STATUSES
from tests.falsify.defects.retry_policies import ALONE, WITH_LIMIT, WITHIN, ZERO
from tests.falsify.defects.timeout import ALL_ATTEMPTS

TRIED_ONCE, RETRIED = "== 1", "> 1"

HEAD_KEPT = """
function envoy_on_request(handle)
  local head = {{}}
  for name, value in pairs(handle:headers()) do
    head[name] = value
  end
  handle:streamInfo():dynamicMetadata():set("request", "head", head)
end
"""
SENT_AGAIN = (
    HEAD_KEPT
    + """
function envoy_on_response(handle)
  if tonumber(handle:headers():get("x-envoy-attempt-count")) {tried} then
    local head = handle:streamInfo():dynamicMetadata():get("request")["head"]
    for number = 1, 4 do
      handle:httpCall("{cluster}", head, "", 200, number == 4)
    end
  end
end
"""
)
"""Three of the requests delay the answer, by at most 0.6 s in all; the fourth arrives well after a limit."""
PENDING_SENT = (
    HEAD_KEPT
    + """
function envoy_on_response(handle)
  if handle:headers():get(":status") == "504" then
    local head = handle:streamInfo():dynamicMetadata():get("request")["head"]
    head["x-envoy-fault-delay-request"] = "300"
    handle:httpCall("{cluster}", head, "", 2000, true)
  end
end
"""
)
"""The request reaches the server's data plane at once, which has it wait for so many milliseconds."""
DELAY = {
    "name": "envoy.filters.http.fault",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
        "delay": {"header_delay": {}, "percentage": {"numerator": 100}},
    },
}
"""Has requests wait for the time that is in their header."""
AS_504 = """
function envoy_on_response(handle)
  local head = handle:headers()
  if tonumber(head:get("x-envoy-attempt-count")) {tried} and head:get(":status") == "200" then
    head:replace(":status", "504")
  end
end
"""


def where_tried(tried: str, source: str) -> Plant:
    """Run a script on answers to callers; the number of attempts is in a header of theirs."""

    def plant(_workload: str, resources: Resources) -> None:
        for configuration in resources["routes"]:
            for host in configuration["virtual_hosts"]:
                host["include_attempt_count_in_response"] = configuration["name"].startswith("outbound.")
        for listener in parts.outbound(resources):
            parts.script(source.format(tried=tried, cluster=listener["name"]), listener)

    return plant


def pending_sent(_workload: str, resources: Resources) -> None:
    for policy in parts.retry_policies(resources):
        policy["retry_back_off"] = {"base_interval": "0.08s", "max_interval": "0.08s"}
    for listener in parts.listeners_that_retry(resources):
        parts.script(PENDING_SENT.format(cluster=listener["name"]), listener)
    for manager in parts.managers(*parts.inbound(resources)):
        manager["http_filters"] = [DELAY, *manager["http_filters"]]


DEFECTS = {
    "first-answer-asked-for-again": Defect(
        "A request that is not retried is sent four times more once it is answered, and those answers are thrown away.",
        (ALONE, WITH_LIMIT, f"{ZERO}[status]"),
        where_tried(TRIED_ONCE, SENT_AGAIN),
    ),
    "last-answer-asked-for-again": Defect(
        "A request that was retried is sent four times more once it is answered, and those answers are thrown away.",
        (ALONE, WITH_LIMIT, EXHAUSTED, f"{GRPC_STATUSES}[grpc-internal]", WITHIN, ALL_ATTEMPTS),
        where_tried(RETRIED, SENT_AGAIN),
    ),
    "pending-retry-sent-after-the-limit": Defect(
        "A retry that waits for its turn when the limit of the request is over is sent all the same.",
        (WITHIN, ALL_ATTEMPTS),
        pending_sent,
    ),
    "first-answer-as-504": Defect(
        "A first attempt that succeeds is reported as 504.", (ALONE,), where_tried(TRIED_ONCE, AS_504)
    ),
    "retried-answer-as-504": Defect(
        "A retry that succeeds is reported as 504.", (ALONE,), where_tried(RETRIED, AS_504)
    ),
}
