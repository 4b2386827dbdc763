"""Data planes that obey the headers of strangers, or tell strangers too much in headers."""

from tests.falsify import parts
from tests.falsify.defect import Defect, Resources

CONTROL = "identity/internal-control-headers-are-not-obeyed"
LEAKS = "identity/mesh-headers-do-not-leak"
LEAKS_IN_ANSWERS = "identity/mesh-headers-do-not-leak-in-answers"

PATH_OF_HEADER = """
function envoy_on_request(handle)
  local path = handle:headers():get("x-envoy-original-path")
  if path then handle:headers():replace(":path", path) end
end
"""

TELLS_OF_CALLER = """
function envoy_on_request(handle)
  handle:headers():add("x-envoy-peer-metadata", "blue/client")
end
"""


def private_networks_trusted(_workload: str, resources: Resources) -> None:
    private = {"cidr_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}]}
    for manager in parts.managers(*parts.inbound(resources), *parts.outbound(resources)):
        manager["internal_address_config"] = private


def path_taken_from_header(_workload: str, resources: Resources) -> None:
    parts.script(PATH_OF_HEADER, *parts.inbound(resources))


def caller_disclosed_to_all(_workload: str, resources: Resources) -> None:
    parts.script(TELLS_OF_CALLER, *parts.outbound(resources))


def debug_headers_in_answers(_workload: str, resources: Resources) -> None:
    for manager in parts.managers(*parts.inbound(resources)):
        for one in manager["http_filters"]:
            one["typed_config"].pop("suppress_envoy_headers", None)


DEFECTS = {
    "private-networks-trusted": Defect(
        "Data planes obey the control headers of whoever claims an address of a private network.",
        (
            *(f"{CONTROL}[{asked}-{who}]" for asked in ("retries", "limit") for who in ("enrolled", "outsider")),
            f"{CONTROL}[grpc-retries-enrolled]",
        ),
        private_networks_trusted,
    ),
    "path-taken-from-header": Defect(
        "A server's data plane takes the path of a request from the header x-envoy-original-path.",
        (f"{CONTROL}[destination-enrolled]", f"{CONTROL}[destination-outsider]"),
        path_taken_from_header,
    ),
    "callers-shown-to-everybody": Defect(
        "Data planes pass the caller's identity to every server, also outside of the mesh.",
        (f"{LEAKS}[http]", f"{LEAKS}[grpc]"),
        caller_disclosed_to_all,
    ),
    "debug-headers-in-answers": Defect(
        "Answers to clients outside of the mesh bear the data plane's own headers.",
        (f"{LEAKS_IN_ANSWERS}[http]", f"{LEAKS_IN_ANSWERS}[grpc]"),
        debug_headers_in_answers,
    ),
}
