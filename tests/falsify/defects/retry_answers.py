"""Data planes that spoil an answer because they might have retried it, or that keep no account of their retries."""

from collections.abc import Callable
from typing import Any

from pytest_meshcheck.meshes.envoy.xds.routes import RETRY_BODY_LIMIT
from tests.falsify import parts
from tests.falsify.defect import Defect, Plant, Resources
from tests.falsify.defects.retry import ALWAYS, BODY, EXHAUSTED, scripted_where_retried
from tests.falsify.defects.retry_counts import HEAD_KEPT
from tests.falsify.parts import Part

FIRST_FRAME_LOST = """
function envoy_on_response(handle)
  handle:headers():remove("content-length")
  for piece in handle:bodyChunks() do
    if piece:length() > 0 then
      piece:setBytes("")
      return
    end
  end
end
"""
TRAILERS_LOST = """
function envoy_on_response(handle)
  local trailers = handle:trailers()
  if trailers then
    trailers:remove("x-meshcheck-trailer")
  end
end
"""
STATUS_CHANGED = """
function envoy_on_response(handle)
  if handle:headers():get(":status") == "{status}" then
    handle:headers():replace(":status", "{other}")
  end
end
"""
BODY_REPLACED = """
function envoy_on_response(handle)
  if handle:headers():get(":status") == "503" then
    handle:headers():replace("content-length", handle:body(true):setBytes("upstream error"))
  end
end
"""
REPLAYED = (
    HEAD_KEPT
    + """
function envoy_on_response(handle)
  local trailers = handle:trailers()
  if trailers and trailers:get("grpc-status") == "14" then
    local head = handle:streamInfo():dynamicMetadata():get("request")["head"]
    handle:httpCall("{cluster}", head, "", 200, false)
  end
end
"""
)
FAILURE_LOST = """
function envoy_on_response(handle)
  local trailers = handle:trailers()
  if trailers and trailers:get("grpc-status") == "14" then
    trailers:replace("grpc-status", "0")
  end
end
"""
SPOILT = """
function envoy_on_request(handle)
  if spoilt then
    spoilt = false
    handle:respond({[":status"] = "503"}, "")
  end
end
function envoy_on_response(handle)
  spoilt = handle:headers():get(":status") == "413"
end
"""
BUFFERED = """
function envoy_on_response(handle)
  handle:body(true)
end
"""


def budgets(change: dict[str, Any] | None) -> Plant:
    """Change every retry budget that is in force; None: there is none."""

    def plant(_workload: str, resources: Resources) -> None:
        for cluster in resources["clusters"]:
            for limits in cluster["circuit_breakers"]["thresholds"]:
                if "retry_budget" in limits and change is None:
                    del limits["retry_budget"]
                    limits["max_retries"] = limits["max_requests"]
                elif "retry_budget" in limits:
                    limits["retry_budget"] |= change or {}

    return plant


def each_retried(change: Callable[[Part], None]) -> Plant:
    """Change every route with retries towards a service."""

    def plant(_workload: str, resources: Resources) -> None:
        for action in parts.actions(resources):
            if "retry_policy" in action:
                change(action)

    return plant


def hedged(action: Part) -> None:
    action["hedge_policy"] = {"hedge_on_per_try_timeout": True}
    action["retry_policy"]["per_try_timeout"] = "0.005s"


def first_may_win(action: Part) -> None:
    action["hedge_policy"] = {"hedge_on_per_try_timeout": True}


def only_get(action: Part) -> None:
    only = {"name": ":method", "string_match": {"exact": "GET"}}
    action["retry_policy"]["retriable_request_headers"] = [only]


def also_413(action: Part) -> None:
    listed = action["retry_policy"].get("retriable_status_codes", [])
    action["retry_policy"]["retriable_status_codes"] = [*listed, 413]


def kept_by_request(_workload: str, resources: Resources) -> None:
    """Choose the endpoint by the id of the request, for each of its attempts."""
    for cluster in resources["clusters"]:
        if cluster["type"] == "EDS":
            cluster["lb_policy"] = "RING_HASH"
    for action in parts.actions(resources):
        action["hash_policy"] = [{"header": {"header_name": "x-meshcheck-id"}}]
        action.get("retry_policy", {}).pop("retry_host_predicate", None)


def large_bodies_kept(_workload: str, resources: Resources) -> None:
    for configuration in resources["routes"]:
        for host in configuration["virtual_hosts"]:
            host["request_body_buffer_limit"] = 3 * RETRY_BODY_LIMIT


def started_again(_workload: str, resources: Resources) -> None:
    for listener in parts.outbound(resources):
        parts.script(REPLAYED.format(cluster=listener["name"]), listener)


def failure_as_success(_workload: str, resources: Resources) -> None:
    parts.script(STATUS_CHANGED.format(status=503, other=200), *parts.outbound(resources))


INTACT = "retry/response-body-is-intact-when-armed"
BUDGET = "retry/budget-bounds-a-storm"
STREAM = "retry/stream-is-never-replayed-after-first-message"
LARGE = "retry/large-body-is-forwarded-once-and-whole"
EARLY = "retry/early-answer-while-uploading"

DEFECTS = {
    "first-frame-of-answer-lost": Defect(
        "Where retries are in force, the first piece of an answer's body is read to decide on a retry, and lost.",
        (
            *(f"{INTACT}[{way}]" for way in ("http", "h2c", "grpc", "grpc-stream")),
            *(f"{STREAM}[status-{kind}]" for kind in ("server-stream", "bidi")),
            f"{EARLY}[h2c]",
        ),
        scripted_where_retried(FIRST_FRAME_LOST),
    ),
    "trailers-of-answer-lost": Defect(
        "Where retries are in force, the trailers of an answer are read to decide on a retry, and lost.",
        (f"{INTACT}[h2c]", f"{INTACT}[grpc]"),
        scripted_where_retried(TRAILERS_LOST),
    ),
    "answer-held-back": Defect(
        "Where retries are in force, an answer is held back until it is whole, and replaced if it is long.",
        (f"{INTACT}[http]",),
        scripted_where_retried(BUFFERED),
    ),
    "status-of-answer-changed": Defect(
        "Where retries are in force, an answer of 200 becomes one of 203.",
        (
            f"{INTACT}[http]",
            "retry/attempts-are-limit-plus-one[1-1]",
            "retry/success-is-not-retried[1]",
            "retry/only-listed-conditions[503]",
            "retry/request-body-is-intact-on-every-attempt[1]",
            "retry/conditions-combine[status]",
            "retry/body-late-and-refused-early[before-h2c-refused-stream]",
            "retry/fires-for-every-spelling-of-failure[status]",
        ),
        scripted_where_retried(STATUS_CHANGED.format(status=200, other=203)),
    ),
    "last-status-changed": Defect(
        "Where retries are in force, the application's 502 reaches the client as 500.",
        (EXHAUSTED,),
        scripted_where_retried(STATUS_CHANGED.format(status=502, other=500)),
    ),
    "failure-as-success": Defect(
        "A 503 that is not retried reaches the client as 200.", ("retry/zero-disables[status]",), failure_as_success
    ),
    "overload-as-500": Defect(
        "Where retries are in force, the application's 503 reaches the client as 500.",
        (f"{LARGE}[just-above]", "retry/only-listed-conditions[503]"),
        scripted_where_retried(STATUS_CHANGED.format(status=503, other=500)),
    ),
    "overload-in-other-words": Defect(
        "Where retries are in force, the body of the application's 503 is replaced by the proxy's own.",
        (f"{LARGE}[four-times]",),
        scripted_where_retried(BODY_REPLACED),
    ),
    "bodies-garbled": Defect(
        "Where retries are in force, a request body arrives with its length, and with other bytes.",
        (f"{LARGE}[just-above]",),
        scripted_where_retried(BODY.format(condition=ALWAYS, bytes='string.rep("x", #bytes)')),
    ),
    "large-bodies-retried": Defect(
        "Requests are retried that are larger than documented.", (f"{LARGE}[just-above]",), large_bodies_kept
    ),
    "early-answer-changed": Defect(
        "Where retries are in force, an answer that comes early says that the request is bad.",
        (f"{EARLY}[http]", f"{EARLY}[h2c]"),
        scripted_where_retried(STATUS_CHANGED.format(status=413, other=400)),
    ),
    "early-answer-spoils-the-next": Defect(
        "Where retries are in force, the request after one that was answered early fails.",
        (f"{EARLY}[http]",),
        scripted_where_retried(SPOILT),
    ),
    "early-answer-retried": Defect(
        "Where retries are in force, a request that is too large is sent again.",
        (f"{EARLY}[http]", f"{EARLY}[h2c]"),
        each_retried(also_413),
    ),
    "stream-replayed": Defect(
        "A stream that fails after a message is started again, and the second answer thrown away.",
        (f"{STREAM}[status-server-stream]", f"{STREAM}[status-bidi]"),
        started_again,
    ),
    "failure-of-stream-lost": Defect(
        "Where retries are in force, a stream that fails after a message ends as if it were whole.",
        (f"{STREAM}[status-server-stream]", f"{STREAM}[status-bidi]"),
        scripted_where_retried(FAILURE_LOST),
    ),
    "retries-stay-at-the-endpoint": Defect(
        "A request is bound to one endpoint, with all its retries.",
        ("retry/goes-to-another-endpoint",),
        kept_by_request,
    ),
    "post-never-retried": Defect(
        "A retry policy covers only GET.",
        tuple(f"retry/post-with-policy-equals-documentation[{method}]" for method in ("POST", "PATCH")),
        each_retried(only_get),
    ),
    "attempts-overlap": Defect(
        "The next attempt begins while the one before it is still under way.", ("retry/backoff",), each_retried(hedged)
    ),
    "late-first-attempt-wins": Defect(
        "An attempt that exceeds its limit goes on beside the next one, and its answer counts if it is the first.",
        ("retry/per-try-timeout-starts-the-next[alone]",),
        each_retried(first_may_win),
    ),
    "budget-ignored": Defect(
        "A retry budget is accepted and ignored.", (f"{BUDGET}[default]", f"{BUDGET}[half]"), budgets(None)
    ),
    "budget-of-a-fraction": Defect(
        "A retry budget without a percentage has the fraction 0.2 of one percent.",
        (f"{BUDGET}[default]",),
        budgets({"budget_percent": {"value": 0.2}}),
    ),
    "budget-too-large": Defect(
        "A retry budget is twice the percentage that it names.",
        (f"{BUDGET}[half]",),
        budgets({"budget_percent": {"value": 100.0}}),
    ),
}
