"""Data planes that crash at what a caller sends, or at an attempt that fails."""

from tests.falsify import parts
from tests.falsify.defect import Defect, Resources
from tests.falsify.defects.headers import CONTROL
from tests.falsify.defects.retry import ATTEMPTS, RETRIED

CRASH = """
local ffi = require("ffi")
ffi.cdef("void abort(void);")
function envoy_on_request(handle)
  if {condition} then ffi.C.abort() end
end
"""
CALLED_WITH_PATH = 'handle:headers():get("x-envoy-original-path")'


def crash_at_header(_workload: str, resources: Resources) -> None:
    parts.script(CRASH.format(condition=CALLED_WITH_PATH), *parts.inbound(resources))


def crash_at_retry(_workload: str, resources: Resources) -> None:
    parts.number_attempts(resources)
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
