"""Data planes that crash at what a caller sends, or at an attempt that fails."""

from tests.falsify import parts
from tests.falsify.defect import Defect, Resources

CONTROL = "identity/internal-control-headers-are-not-obeyed"
ATTEMPTS = "retry/attempts-are-limit-plus-one"

CRASH = """
local ffi = require("ffi")
ffi.cdef("void abort(void);")
function envoy_on_request(handle)
  if {condition} then ffi.C.abort() end
end
"""
CALLED_WITH_PATH = 'handle:headers():get("x-envoy-original-path")'
RETRIED = '(tonumber(handle:headers():get("x-envoy-attempt-count")) or 1) > 1'


def crash_at_header(_workload: str, resources: Resources) -> None:
    parts.script(CRASH.format(condition=CALLED_WITH_PATH), *parts.inbound(resources))


def crash_at_retry(_workload: str, resources: Resources) -> None:
    for configuration in resources["routes"]:
        for host in configuration["virtual_hosts"]:
            host["include_request_attempt_count"] = True
    parts.script(CRASH.format(condition=RETRIED), *parts.inbound(resources))


DEFECTS = {
    "crash-at-header": Defect(
        "A server's data plane crashes at a header that an outsider sends.",
        (f"{CONTROL}[destination-outsider]",),
        crash_at_header,
    ),
    "crash-at-retry": Defect(
        "A server's data plane crashes at the second attempt of a request.",
        (f"{ATTEMPTS}[1-1]",),
        crash_at_retry,
    ),
}
