"""Data planes that try again too often, too rarely, or with something else."""

from typing import Any

from tests.falsify import parts
from tests.falsify.defect import Defect, Plant, Resources
from tests.falsify.meshes.promising import LAST_ANSWER_REPLACED, GivesUpEarly, PromisesBroken

SERVER_ERRORS = {"retry_on": "5xx,reset", "num_retries": 1}
UNLISTED_STATUSES = [409, 500, 503]
POST = [{"name": ":method", "string_match": {"exact": "POST"}}]

LAST_BODY_LOST = """
function envoy_on_response(handle)
  if handle:headers():get(":status") == "502" then
    handle:headers():replace("content-length", handle:body(true):setBytes(""))
  end
end
"""
BODY = """
function envoy_on_request(handle)
  if {condition} then
    local body = handle:body(true)
    local bytes = body:getBytes(0, body:length())
    local length = body:setBytes({bytes})
    if handle:headers():get("content-length") then
      handle:headers():replace("content-length", length)
    end
  end
end
"""
ALWAYS = "true"
RETRIED = '(tonumber(handle:headers():get("x-envoy-attempt-count")) or 1) > 1'


def each_policy(**changes: Any) -> Plant:
    """Change every retry policy that is in force."""

    def plant(_workload: str, resources: Resources) -> None:
        for policy in parts.retry_policies(resources):
            policy.update(changes)

    return plant


def retries_changed_by(difference: int) -> Plant:
    """Retry so many times more than told."""

    def plant(_workload: str, resources: Resources) -> None:
        for policy in parts.retry_policies(resources):
            policy["num_retries"] += difference

    return plant


def without_condition(*conditions: str) -> Plant:
    """Leave these conditions out of every retry policy."""

    def plant(_workload: str, resources: Resources) -> None:
        for policy in parts.retry_policies(resources):
            policy["retry_on"] = ",".join(one for one in policy["retry_on"].split(",") if one not in conditions)

    return plant


def retried_though_unlisted(_workload: str, resources: Resources) -> None:
    for policy in parts.retry_policies(resources):
        policy["retriable_status_codes"] = [*policy.get("retriable_status_codes", ()), *UNLISTED_STATUSES]


def succeeded_and_retried(_workload: str, resources: Resources) -> None:
    for policy in parts.retry_policies(resources):
        policy["retriable_status_codes"] = [*policy.get("retriable_status_codes", ()), 200]


def by_default(**policy: Any) -> Plant:
    """Retry like this where nobody asked for it."""

    def plant(_workload: str, resources: Resources) -> None:
        for action in parts.actions(resources):
            action.setdefault("retry_policy", policy)

    return plant


def where_limited(**policy: Any) -> Plant:
    """Retry like this where there is a limit alone."""

    def plant(_workload: str, resources: Resources) -> None:
        for action in parts.actions(resources):
            if action.get("timeout", parts.OFF) != parts.OFF:
                action.setdefault("retry_policy", policy)

    return plant


def scripted_where_retried(source: str) -> Plant:
    """Run a script in the client's data plane where retries are in force."""

    def plant(_workload: str, resources: Resources) -> None:
        parts.script(source, *parts.listeners_that_retry(resources))

    return plant


def retry_without_body(_workload: str, resources: Resources) -> None:
    parts.number_attempts(resources)
    parts.script(BODY.format(condition=RETRIED, bytes='""'), *parts.inbound(resources))


ATTEMPTS = "retry/attempts-are-limit-plus-one"
SUCCESS = "retry/success-is-not-retried"
DOCUMENTED_ERROR = "retry/exhausted-returns-the-documented-error"
DEFAULT_LIMIT = "timeout/default-limit-is-the-documented-one"
SPELLINGS = "timeout/each-api-spelling-acts"
EXHAUSTED = "retry/exhausted-returns-the-last-answer"
ATTEMPT_NUMBER = "retry/attempt-number-reaches-the-server"
ARMED = "retry/response-body-is-intact-when-armed"
LISTED = "retry/only-listed-conditions"
INTACT = "retry/request-body-is-intact-on-every-attempt"
FIRES = "retry/fires-for-every-spelling-of-failure"
UNSAFE = "retry/unsafe-requests-run-at-most-once-by-default"
DEFAULT = "retry/default-equals-documentation"
GRPC_STATUSES = "retry/grpc-status-conditions"

DEFECTS = {
    "one-retry-too-many": Defect(
        "A request is retried once more often than allowed.",
        (f"{ATTEMPTS}[1-2]", f"{ATTEMPTS}[3-4]", EXHAUSTED),
        retries_changed_by(1),
    ),
    "one-retry-too-few": Defect(
        "A request is retried once less often than allowed.",
        (f"{ATTEMPTS}[1-1]", f"{ATTEMPTS}[2-2]", f"{ATTEMPTS}[3-4]", EXHAUSTED),
        retries_changed_by(-1),
    ),
    "retry-never-fires": Defect(
        "A retry policy is accepted and has no condition, so that nothing is ever retried.",
        (f"{ATTEMPTS}[1-1]", f"{FIRES}[status]", f"{FIRES}[reset]", f"{LISTED}[503]", f"{INTACT}[1]"),
        each_policy(retry_on=""),
    ),
    "success-retried": Defect(
        "Where retries are in force, a request that was answered with 200 is sent again.",
        (f"{SUCCESS}[1]", f"{SUCCESS}[3]", f"{ARMED}[http]", f"{ARMED}[h2c]"),
        succeeded_and_retried,
    ),
    "promises-broken": Defect(
        "The mesh documents an error after the last retry, numbered attempts, a default limit and a second way to "
        "write one, and implements none of them.",
        (DOCUMENTED_ERROR, ATTEMPT_NUMBER, f"{DEFAULT_LIMIT}[http]", f"{DEFAULT_LIMIT}[grpc]", SPELLINGS),
        mesh=PromisesBroken,
    ),
    "documented-error-too-soon": Defect(
        "The mesh documents an error after the last retry, and returns it one retry too soon.",
        (DOCUMENTED_ERROR,),
        mesh=GivesUpEarly,
    ),
    "no-retry-on-refused-connection": Defect(
        "A refused connection is not retried, though the policy lists it.",
        (f"{FIRES}[connection-refused]",),
        without_condition("connect-failure"),
    ),
    "no-retry-on-reset": Defect(
        "A connection that is reset or closed before an answer is not retried, though the policy lists it.",
        (f"{FIRES}[reset]", f"{FIRES}[close]"),
        without_condition("reset"),
    ),
    "no-retry-on-refused-stream": Defect(
        "A stream that the server refuses is not retried, though the policy lists it.",
        (f"{FIRES}[refused-stream]",),
        without_condition("refused-stream"),
    ),
    "no-retry-on-grpc-status": Defect(
        "A gRPC status is not retried, though the policy lists it.",
        (
            *(f"{FIRES}[{status}-trailers-only]" for status in ("grpc-unavailable", "grpc-cancelled")),
            f"{GRPC_STATUSES}[grpc-unavailable]",
        ),
        without_condition("unavailable", "cancelled"),
    ),
    "retried-on-unlisted-status": Defect(
        "Some statuses are retried although the policy does not list them.",
        (f"{LISTED}[409]", f"{LISTED}[500]", f"{LISTED}[503]"),
        retried_though_unlisted,
    ),
    "retried-on-every-5xx": Defect(
        "Every 5xx is retried, whatever statuses the policy lists.",
        (f"{LISTED}[501]", f"{LISTED}[504]"),
        each_policy(retry_on="5xx,retriable-status-codes"),
    ),
    "post-retried-by-default": Defect(
        "A POST that meets a 5xx or a broken connection is retried though no policy asks for it.",
        (f"{UNSAFE}[POST-503]", f"{UNSAFE}[POST-reset]", f"{DEFAULT}[POST-503]", f"{DEFAULT}[POST-reset]"),
        by_default(**SERVER_ERRORS, retriable_request_headers=POST),
    ),
    "unanswered-retried-by-default": Defect(
        "A request without an answer for 0.1 seconds is sent again though no policy asks for it.",
        (f"{UNSAFE}[POST-stall]", f"{UNSAFE}[PATCH-stall]"),
        by_default(retry_on="reset", num_retries=2, per_try_timeout="0.1s"),
    ),
    "broken-connection-retried-by-default": Defect(
        "A request whose connection breaks is sent again though no policy asks for it.",
        tuple(
            f"{UNSAFE}[{method}-{failure}-outside]" for method in ("POST", "PATCH") for failure in ("reset", "close")
        ),
        by_default(retry_on="reset", num_retries=2),
    ),
    "retried-where-limited": Defect(
        "A service that has a limit for its requests gets default retries, too.",
        (f"{UNSAFE}[POST-503-routed]", f"{UNSAFE}[PATCH-reset-routed]"),
        where_limited(**SERVER_ERRORS),
    ),
    "every-method-retried-by-default": Defect(
        "There are default retries for every method that the documentation does not mention.",
        (f"{DEFAULT}[GET-503]", f"{DEFAULT}[PUT-500]", f"{DEFAULT}[PATCH-reset]", f"{UNSAFE}[PATCH-503]"),
        by_default(**SERVER_ERRORS),
    ),
    "grpc-retried-by-default": Defect(
        "There are default retries for gRPC UNAVAILABLE that the documentation does not mention.",
        (f"{DEFAULT}[gRPC-unavailable]",),
        by_default(retry_on="unavailable", num_retries=2),
    ),
    "last-answer-replaced": Defect(
        "After the last retry the client gets an answer of the proxy's own.",
        (EXHAUSTED,),
        scripted_where_retried(LAST_ANSWER_REPLACED),
    ),
    "last-body-lost": Defect(
        "After the last retry the client gets the status of the last answer without its body.",
        (EXHAUSTED,),
        scripted_where_retried(LAST_BODY_LOST),
    ),
    "body-truncated": Defect(
        "Where retries are in force, the last byte of a request body is lost.",
        (f"{INTACT}[1]", f"{INTACT}[65537]", f"{INTACT}[65535]"),
        scripted_where_retried(BODY.format(condition=ALWAYS, bytes="string.sub(bytes, 1, -2)")),
    ),
    "body-doubled": Defect(
        "Where retries are in force, a request body arrives twice in one request.",
        (f"{INTACT}[1]", f"{INTACT}[65536]", f"{INTACT}[1048576]"),
        scripted_where_retried(BODY.format(condition=ALWAYS, bytes="bytes .. bytes")),
    ),
    "retried-without-body": Defect(
        "The first attempt has the request body, a retry has none.",
        (f"{INTACT}[1]", f"{INTACT}[65536]"),
        retry_without_body,
    ),
}
