"""Data planes and authorities that take one workload, or one request, for another."""

from tests.falsify import parts
from tests.falsify.defect import Defect, Plant, Resources
from tests.falsify.defects.mtls import server_identity_unchecked
from tests.falsify.meshes.faulty import OneKeyForAll

OWN = "identity/certificate-per-workload"
DELIVERY = "identity/no-cross-delivery"
WHOLE = "identity/streams-are-delivered-whole"
MATRIX = "mtls/enrolment-matrix"
BLUE, GREEN = "outbound.server.blue", "outbound.server.green"

ANSWER_OF_ANOTHER = """
local earlier
function envoy_on_response(handle)
  local body = handle:body(true)
  local own = body:getBytes(0, body:length())
  if earlier then body:setBytes(earlier) end
  earlier = own
end
"""

BODY_OF_ANOTHER = """
local earlier
function envoy_on_request(handle)
  local body = handle:body(true)
  local own = body:getBytes(0, body:length())
  if earlier then body:setBytes(earlier) end
  earlier = own
end
"""

ANSWERED_ON_THE_WAY = """
function envoy_on_request(handle)
  local body = handle:body(true)
  handle:respond({[":status"] = "200"}, body:getBytes(0, body:length()))
end
"""


def namesakes_taken_for_each_other(workload: str, resources: Resources) -> None:
    server_identity_unchecked()(workload, resources)
    for endpoints in resources["endpoints"]:
        name = endpoints["cluster_name"]
        if name.startswith(GREEN):
            blue = next(one for one in resources["endpoints"] if one["cluster_name"] == name.replace(GREEN, BLUE))
            endpoints["endpoints"] = blue["endpoints"]


def ports_taken_for_each_other(_workload: str, resources: Resources) -> None:
    of = {endpoints["cluster_name"]: endpoints for endpoints in resources["endpoints"]}
    for name, endpoints in of.items():
        service, dot, port = name.rpartition(".")
        if port == "http-alt":
            endpoints["endpoints"] = of[f"{service}{dot}http"]["endpoints"]


def scripted(source: str) -> Plant:
    """Run a Lua script on every request of a client."""

    def plant(_workload: str, resources: Resources) -> None:
        parts.script(source, *parts.outbound(resources))

    return plant


def long_transfers_cut(_workload: str, resources: Resources) -> None:
    for proxy in parts.proxies(*parts.inbound(resources)):
        proxy["max_downstream_connection_duration"] = "0.1s"


DEFECTS = {
    "large-streams-cut": Defect(
        "A connection is cut after a tenth of a second, which only large transfers take.", (WHOLE,), long_transfers_cut
    ),
    "one-key-for-all": Defect(
        "The certificates of all workloads are for the same key.",
        (OWN,),
        mesh=OneKeyForAll,
    ),
    "namesakes-taken-for-each-other": Defect(
        "Requests to a service reach the service of the same name in another namespace.",
        tuple(f"{DELIVERY}[{port}]" for port in ("http", "grpc", "tcp")),
        namesakes_taken_for_each_other,
    ),
    "ports-taken-for-each-other": Defect(
        "Requests to one port of a service reach another port of it.",
        ("identity/route-keeps-the-port",),
        ports_taken_for_each_other,
    ),
    "answer-of-another": Defect(
        "A client's data plane gives the answer to one request to the next one.",
        (f"{DELIVERY}[http]",),
        scripted(ANSWER_OF_ANOTHER),
    ),
    "body-of-another": Defect(
        "A client's data plane sends the body of one request with the next one.",
        (f"{DELIVERY}[http]",),
        scripted(BODY_OF_ANOTHER),
    ),
    "answered-on-the-way": Defect(
        "A client's data plane answers requests itself, with their own body.",
        (f"{DELIVERY}[http]", f"{MATRIX}[permissive-http-service]", f"{MATRIX}[strict-http-address]"),
        scripted(ANSWERED_ON_THE_WAY),
    ),
}
