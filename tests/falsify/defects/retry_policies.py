"""Data planes that read a policy for retries wrongly, or let an attempt exceed its own limit."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from pytest_meshcheck.meshes.envoy.mesh import EnvoyMesh
from pytest_meshcheck.model.policy import Policy, Retry
from pytest_meshcheck.platforms.base import Manifest
from tests.falsify import parts
from tests.falsify.defect import Defect, Plant, Resources
from tests.falsify.defects.retry import GRPC_STATUSES, by_default, scripted_where_retried
from tests.falsify.parts import Part

BY_STATUS = "retriable-status-codes"
GRPC = ("cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable")

GRPC_STATUS_REPLACED = """
function envoy_on_response(handle)
  if handle:headers():get("grpc-status") then
    handle:headers():replace("grpc-status", "2")
  end
end
"""
GRPC_MESSAGE_LOST = GRPC_STATUS_REPLACED.replace('"grpc-status", "2"', '"grpc-message", "failed"')


def each_conditions(change: Callable[[list[str]], list[str]]) -> Plant:
    """Change the conditions of every retry policy that is in force."""

    def plant(_workload: str, resources: Resources) -> None:
        for policy in parts.retry_policies(resources):
            policy["retry_on"] = ",".join(change(policy["retry_on"].split(",")))

    return plant


def each_limited(change: Callable[[Part], None]) -> Plant:
    """Change every route whose attempts have a limit of their own."""

    def plant(_workload: str, resources: Resources) -> None:
        for action in parts.actions(resources):
            if "per_try_timeout" in action.get("retry_policy", {}):
                change(action)

    return plant


def per_try(limit: str) -> Plant:
    """Another limit of each attempt."""

    def change(action: Part) -> None:
        action["retry_policy"]["per_try_timeout"] = limit

    return each_limited(change)


def no_per_try_where(holds: Callable[[Part], bool]) -> Plant:
    """No limit of an attempt where this holds of the route."""

    def change(action: Part) -> None:
        if holds(action):
            del action["retry_policy"]["per_try_timeout"]

    return each_limited(change)


def only_first_status(_workload: str, resources: Resources) -> None:
    for policy in parts.retry_policies(resources):
        policy["retriable_status_codes"] = policy.get("retriable_status_codes", [])[:1]


def attempt_limit_for_all(action: Part) -> None:
    if action["timeout"] == parts.OFF:
        action["timeout"] = action["retry_policy"]["per_try_timeout"]


def no_request_limit(action: Part) -> None:
    action["timeout"] = parts.OFF


def overdue_not_retried(action: Part) -> None:
    action["retry_policy"]["retry_on"] = "connect-failure"


class ZeroIsOne(EnvoyMesh):
    """Takes 0 attempts for a policy that does not say how many, and retries once."""

    def render(self, policies: Sequence[Policy]) -> list[Manifest]:
        return super().render(
            [
                replace(policy, attempts=1) if isinstance(policy, Retry) and not policy.attempts else policy
                for policy in policies
            ]
        )


COMBINED = "retry/conditions-combine"
ZERO = "retry/zero-disables"
PER_TRY = "retry/per-try-timeout-starts-the-next"
ALONE, WITH_LIMIT = f"{PER_TRY}[alone]", f"{PER_TRY}[with-request-limit]"
BACKEND = "timeout/backend-request"
WITHIN = "retry/within-the-request-timeout"

DEFECTS = {
    "statuses-replace-other-conditions": Defect(
        "Where a policy lists statuses, the other failures that it lists are not retried.",
        tuple(f"{COMBINED}[{case}]" for case in ("connection-refused", "reset", "refused-stream", "grpc-status")),
        each_conditions(lambda listed: [BY_STATUS] if BY_STATUS in listed else listed),
    ),
    "other-conditions-replace-statuses": Defect(
        "Where a policy lists other failures, the statuses that it lists are not retried.",
        (f"{COMBINED}[status]", f"{COMBINED}[other-status]"),
        each_conditions(lambda listed: [one for one in listed if one != BY_STATUS] or listed),
    ),
    "only-first-status-retried": Defect(
        "Of several statuses that a policy lists only the first is retried.",
        (f"{COMBINED}[status]",),
        only_first_status,
    ),
    "zero-retries-is-one": Defect(
        "A policy of no retries is taken for one that leaves the number open.",
        tuple(f"{ZERO}[{case}]" for case in ("status", "reset", "refused-stream", "grpc-status")),
        mesh=ZeroIsOne,
    ),
    "defaults-despite-zero": Defect(
        "The mesh's own retries go on where a policy turns retries off.",
        (f"{ZERO}[refused-stream]", f"{ZERO}[grpc-status]"),
        by_default(retry_on="refused-stream,unavailable", num_retries=2),
    ),
    "any-grpc-status-retried": Defect(
        "Where a policy lists one gRPC status, calls are retried after every other one as well.",
        (f"{GRPC_STATUSES}[grpc-cancelled]", f"{GRPC_STATUSES}[grpc-unavailable]"),
        each_conditions(lambda listed: [*listed, *(GRPC if set(GRPC) & set(listed) else ())]),
    ),
    "last-grpc-status-replaced": Defect(
        "After the last retry a gRPC caller gets a status of the proxy's own.",
        (f"{GRPC_STATUSES}[grpc-internal]",),
        scripted_where_retried(GRPC_STATUS_REPLACED),
    ),
    "last-grpc-message-lost": Defect(
        "After the last retry a gRPC caller gets the last status without its message.",
        (f"{GRPC_STATUSES}[grpc-internal]",),
        scripted_where_retried(GRPC_MESSAGE_LOST),
    ),
    "per-try-ignored": Defect(
        "The limit of an attempt is accepted and ignored.", (ALONE, WITH_LIMIT), no_per_try_where(lambda _action: True)
    ),
    "per-try-needs-request-limit": Defect(
        "The limit of an attempt holds only where the request has one too.",
        (ALONE,),
        no_per_try_where(lambda action: action["timeout"] == parts.OFF),
    ),
    "request-limit-replaces-per-try": Defect(
        "The limit of an attempt does not hold where the request has one too.",
        (WITH_LIMIT,),
        no_per_try_where(lambda action: action["timeout"] != parts.OFF),
    ),
    "per-try-too-late": Defect("The limit of an attempt is never shorter than two seconds.", (ALONE,), per_try("2s")),
    "per-try-too-early": Defect("An attempt is cut after a millisecond.", (ALONE, WITH_LIMIT), per_try("0.001s")),
    "per-try-in-whole-seconds": Defect(
        "The limit of an attempt is cut down to whole seconds.", (ALONE, WITH_LIMIT), per_try("1s")
    ),
    "per-try-halved": Defect("An attempt is cut after half of its limit.", (ALONE, WITH_LIMIT), per_try("0.6s")),
    "overdue-not-retried": Defect(
        "An attempt that exceeds its limit is cut and not retried.",
        (ALONE, WITH_LIMIT),
        each_limited(overdue_not_retried),
    ),
    "per-try-limits-the-request": Defect(
        "The limit of an attempt is taken for a limit of the request, where that has none.",
        (BACKEND,),
        each_limited(attempt_limit_for_all),
    ),
    "request-limit-off-with-per-try": Defect(
        "The limit of a request does not hold where its attempts have one.",
        (WITHIN, BACKEND),
        each_limited(no_request_limit),
    ),
}
