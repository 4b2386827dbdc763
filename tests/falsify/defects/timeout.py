"""Data planes whose limits come too early, too late, not at all, or hold for something else."""

from collections.abc import Callable

from tests.falsify import parts
from tests.falsify.defect import Defect, Plant, Resources
from tests.falsify.meshes.silent import CancellationKept

FLOOR = 2.0


def limit_changed(change: Callable[[float], float]) -> Plant:
    """Change every limit that is set, in seconds."""

    def plant(_workload: str, resources: Resources) -> None:
        for action in parts.actions(resources):
            if action["timeout"] != parts.OFF:
                action["timeout"] = f"{change(float(action['timeout'].removesuffix('s'))):.6f}s"

    return plant


def limit_where_off(limit: str | None) -> Plant:
    """A limit where there is to be none; None for what Envoy does where it is told nothing: 15 seconds."""

    def plant(_workload: str, resources: Resources) -> None:
        for action in parts.actions(resources):
            if action["timeout"] == parts.OFF:
                del action["timeout"]
                action.update({"timeout": limit} if limit else {})

    return plant


def limit_beside_retries(_workload: str, resources: Resources) -> None:
    for action in parts.actions(resources):
        if "retry_policy" in action and action["timeout"] == parts.OFF:
            del action["timeout"]


def hedged(_workload: str, resources: Resources) -> None:
    for action in parts.actions(resources):
        once_more = {"retry_on": "retriable-status-codes", "num_retries": 1, "per_try_timeout": "10s"}
        action["retry_policy"] = action.get("retry_policy", {}) | once_more
        action["hedge_policy"] = {"hedge_on_per_try_timeout": True}


def per_attempt(_workload: str, resources: Resources) -> None:
    for action in parts.actions(resources):
        if "retry_policy" in action and action["timeout"] != parts.OFF:
            action["retry_policy"]["per_try_timeout"] = action["timeout"]
            action["timeout"] = parts.OFF


def as_unavailable(_workload: str, resources: Resources) -> None:
    for manager in parts.managers(*parts.outbound(resources)):
        manager.pop("local_reply_config", None)


def as_bad_gateway(_workload: str, resources: Resources) -> None:
    timed_out = {"filter": {"response_flag_filter": {"flags": ["UT"]}}, "status_code": 502}
    for manager in parts.managers(*parts.outbound(resources)):
        manager["local_reply_config"] = {"mappers": [timed_out]}


CUT = "timeout/slow-answer-is-cut"
CANCELLATION = "timeout/server-sees-the-cancellation"
BOUNDARY = "timeout/just-late-is-cut"
PER_TRY = "retry/per-try-timeout-starts-the-next"
WITHIN = "retry/within-the-request-timeout"
STATUSES = "timeout/status-table"
BACKEND = "timeout/backend-request"
ALL_ATTEMPTS = "timeout/covers-all-attempts"
ZERO = "timeout/zero-disables"
UNSET = tuple(f"timeout/unset-means-no-limit[{beside}]" for beside in ("nothing", "retries"))
GRPC = "timeout/grpc-deadline-exceeded"

DEFECTS = {
    "timeout-ignored": Defect(
        "A limit is accepted and ignored.",
        (f"{CUT}[0.05]", f"{CUT}[0.5]", f"{BOUNDARY}[1.2]", ALL_ATTEMPTS),
        limit_changed(lambda _limit: 0.0),
    ),
    "timeout-too-early": Defect(
        "A request is cut after two thirds of its limit.",
        (f"{CUT}[0.2]", f"{CUT}[0.5]", f"{BOUNDARY}[0.5]", BACKEND, WITHIN, ALL_ATTEMPTS),
        limit_changed(lambda limit: limit * 2 / 3),
    ),
    "timeout-too-late": Defect(
        f"Limits below {FLOOR:g} seconds are taken for {FLOOR:g} seconds.",
        (f"{CUT}[0.05]", f"{CUT}[0.5]", GRPC, f"{CANCELLATION}[http]", f"{CANCELLATION}[grpc]"),
        limit_changed(lambda limit: max(limit, FLOOR)),
    ),
    "timeout-per-attempt": Defect(
        "The limit of a request holds for each of its attempts, not for all of them.", (ALL_ATTEMPTS,), per_attempt
    ),
    "timeout-as-502": Defect(
        "A request that is cut is answered with another status than documented.",
        (f"{CUT}[0.05]", ALL_ATTEMPTS, WITHIN, f"{STATUSES}[cut-http]", f"{STATUSES}[cut-h2c]"),
        as_bad_gateway,
    ),
    "zero-is-one-second": Defect(
        "A limit of zero is taken for a limit of one second.", (ZERO, *UNSET), limit_where_off("1s")
    ),
    "limits-capped-at-15-seconds": Defect(
        "A limit of more than 15 seconds is one of 15 seconds.",
        ("timeout/long-limit-is-kept",),
        limit_changed(lambda limit: min(limit, 15.0)),
    ),
    "hidden-15-seconds": Defect(
        "Where no limit is set, the proxy's own 15 seconds apply.", (*UNSET, ZERO), limit_where_off(None)
    ),
    "unset-limit-beside-retries": Defect(
        "A service with retries gets the proxy's own 15 seconds, unless a limit is set.",
        (UNSET[1],),
        limit_beside_retries,
    ),
    "waiting-request-hedged": Defect(
        "A request that is not answered within 10 seconds is sent a second time, beside the first one.",
        UNSET,
        hedged,
    ),
    "grpc-timeout-as-unavailable": Defect(
        "A gRPC call that is cut ends with UNAVAILABLE in place of DEADLINE_EXCEEDED.", (GRPC,), as_unavailable
    ),
    "cancellation-kept-from-server": Defect(
        "The application does not learn that its caller has given up.",
        (f"{CANCELLATION}[http]", f"{CANCELLATION}[h2c]", f"{CANCELLATION}[grpc]", f"{PER_TRY}[alone]"),
        mesh=CancellationKept,
    ),
}
