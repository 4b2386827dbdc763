"""Data planes that let a caller choose its own limits, come a little too late, or tell a caller the wrong status."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from tests.falsify import parts
from tests.falsify.defect import Defect, Plant, Resources
from tests.falsify.defects.timeout import limit_changed

FLOOR = 0.3
MINUTE = "60s"
FIVE_RETRIES = {"retry_on": "5xx", "num_retries": 5}

LATER_CALLS_FAIL = """
function envoy_on_request(handle)
  local deadline = handle:headers():get("grpc-timeout")
  if deadline and not string.match(deadline, "^%d+[HMSmun]$") then
    broken = true
  elseif broken then
    handle:respond({[":status"] = "503"}, "broken")
  end
end
"""
DEADLINE_OVERFLOWS = """
function envoy_on_request(handle)
  if string.match(handle:headers():get("grpc-timeout") or "", "^%d%d%d%d%d%d%d%dH$") then
    handle:respond({[":status"] = "504"}, "over")
  end
end
"""

DEADLINE_IN_MICROSECONDS = """
function envoy_on_request(handle)
  local deadline = handle:headers():get("grpc-timeout")
  if deadline then
    handle:headers():replace("grpc-timeout", (string.gsub(deadline, "m$", "u")))
  end
end
"""


def trusting(prefix: str, length: int, **more: Any) -> Plant:
    """Take callers with such an address for internal ones."""

    def plant(_workload: str, resources: Resources) -> None:
        for manager in parts.managers(*parts.outbound(resources)):
            cidr = {"address_prefix": prefix, "prefix_len": length}
            manager.update({"internal_address_config": {"cidr_ranges": [cidr]}} | more)

    return plant


def anywhere(_route: parts.Part) -> bool:
    return True


def with_retries(route: parts.Part) -> bool:
    return "retry_policy" in route["route"]


def without_retries(route: parts.Part) -> bool:
    return not with_retries(route)


def where_sent(header: str, holds: Callable[[parts.Part], bool] = anywhere, **fields: Any) -> Plant:
    """Other limits for requests with this header, on the routes of which this holds."""

    def plant(_workload: str, resources: Resources) -> None:
        for configuration in resources["routes"]:
            if configuration["name"].startswith("outbound."):
                for host in configuration["virtual_hosts"]:
                    own = [_own(route, header, fields) for route in host["routes"] if holds(route)]
                    host["routes"] = [*own, *host["routes"]]

    return plant


def _own(route: parts.Part, header: str, fields: Mapping[str, Any]) -> parts.Part:
    own = copy.deepcopy(route)
    own["match"]["headers"] = [{"name": header, "present_match": True}]
    own["route"].update(fields)
    return own


def deadline_removed(_workload: str, resources: Resources) -> None:
    for _, route in parts.outbound_routes(resources):
        route["request_headers_to_remove"] = ["grpc-timeout"]


def deadline_overflows(_workload: str, resources: Resources) -> None:
    parts.script(DEADLINE_OVERFLOWS, *parts.outbound(resources))


def deadline_in_microseconds(_workload: str, resources: Resources) -> None:
    parts.script(DEADLINE_IN_MICROSECONDS, *parts.outbound(resources))


def later_calls_fail(_workload: str, resources: Resources) -> None:
    parts.script(LATER_CALLS_FAIL, *parts.outbound(resources))


def no_endpoint_as_500(_workload: str, resources: Resources) -> None:
    none_left = {"filter": {"response_flag_filter": {"flags": ["UH"]}}, "status_code": 500}
    for manager in parts.managers(*parts.outbound(resources)):
        manager["local_reply_config"] = {"mappers": [none_left]}


def refused_as_500(_workload: str, resources: Resources) -> None:
    refused = {"filter": {"response_flag_filter": {"flags": ["UF"]}}, "status_code": 500}
    for manager in parts.managers(*parts.inbound(resources)):
        manager["local_reply_config"] = {"mappers": [refused]}


RAISE = "retry/client-cannot-raise-the-limit"
LENGTHEN = "timeout/client-cannot-lengthen"
DEADLINE = "timeout/caller-deadline"
HEADER = "timeout/grpc-timeout-header"
STATUSES = "timeout/status-table"
BOUNDARY = "timeout/just-late-is-cut"

DEFECTS = {
    "deadline-overflows": Defect(
        "A caller's deadline of many years overflows, and its call is cut at once.",
        (f"{HEADER}[longest]",),
        deadline_overflows,
    ),
    "client-headers-obeyed": Defect(
        "Every client is trusted with headers that raise its limits.",
        (f"{RAISE}[envoy]", f"{LENGTHEN}[envoy]"),
        trusting("127.0.0.0", 8, use_remote_address=True),
    ),
    "private-addresses-trusted": Defect(
        "A client that claims an address of a private network is trusted with headers that raise its limits.",
        (f"{RAISE}[envoy-as-internal]", f"{LENGTHEN}[envoy-as-internal]"),
        trusting("10.0.0.0", 8),
    ),
    "linkerd-retry-headers-replace-a-policy": Defect(
        "A client with a retry policy gets as many retries as its l5d header requests.",
        (f"{RAISE}[linkerd]",),
        where_sent("l5d-retry-limit", with_retries, retry_policy=FIVE_RETRIES),
    ),
    "linkerd-retry-headers-obeyed-without-a-policy": Defect(
        "Without a retry policy, a client gets the retries that its l5d header requests.",
        (f"{RAISE}[linkerd]",),
        where_sent("l5d-retry-limit", without_retries, retry_policy=FIVE_RETRIES),
    ),
    "linkerd-timeout-headers-obeyed": Defect(
        "A client gets the time that it asks for in an l5d header.",
        (f"{LENGTHEN}[linkerd]",),
        where_sent("l5d-request-timeout", timeout=MINUTE),
    ),
    "grpc-timeout-obeyed-over-http": Defect(
        "A client gets the time that it asks for in grpc-timeout, whatever it speaks.",
        (f"{LENGTHEN}[grpc-timeout]", f"{HEADER}[longest]"),
        where_sent("grpc-timeout", timeout=MINUTE),
    ),
    "callers-deadline-replaces-limit": Defect(
        "A call is cut at its caller's deadline and no longer at the limit of the policy.",
        (
            *(f"{DEADLINE}[{case}]" for case in ("shorter", "longer", "alone")),
            *(f"{HEADER}[{case}]" for case in ("zero", "longest", "too-many-digits", "no-unit", "repeated")),
        ),
        where_sent("grpc-timeout", max_grpc_timeout="0s"),
    ),
    "deadline-kept-from-application": Defect(
        "The application does not learn its caller's deadline.",
        (f"{DEADLINE}[shorter]", f"{DEADLINE}[longer]", f"{DEADLINE}[alone]"),
        deadline_removed,
    ),
    "deadline-in-microseconds": Defect(
        "The milliseconds of a caller's deadline reach the application as microseconds.",
        (f"{DEADLINE}[shorter]", f"{DEADLINE}[alone]"),
        deadline_in_microseconds,
    ),
    "malformed-deadline-breaks-later-calls": Defect(
        "After a call with a malformed deadline all later calls fail.", (f"{HEADER}[no-unit]",), later_calls_fail
    ),
    "refused-as-500": Defect(
        "A connection that the application refuses is reported with another status than documented.",
        tuple(f"{STATUSES}[refused-{caller}]" for caller in ("http", "h2c", "grpc")),
        refused_as_500,
    ),
    "no-endpoint-as-500": Defect(
        "A request to a service without endpoints is answered with another status than documented.",
        tuple(f"{STATUSES}[no-endpoint-{caller}]" for caller in ("http", "h2c", "grpc")),
        no_endpoint_as_500,
    ),
    "limits-from-300-ms": Defect(
        f"Limits below {FLOOR:g} seconds are taken for {FLOOR:g} seconds.",
        (f"{BOUNDARY}[0.05]", f"{BOUNDARY}[0.2]"),
        limit_changed(lambda limit: max(limit, FLOOR)),
    ),
}
