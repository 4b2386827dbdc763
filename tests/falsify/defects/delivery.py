"""Data planes and authorities that take one workload, or one request, for another."""

from tests.falsify import parts
from tests.falsify.defect import Defect, Resources
from tests.falsify.defects.mtls import server_identity_unchecked
from tests.falsify.meshes.faulty import OneKeyForAll

OWN = "identity/certificate-per-workload"
DELIVERY = "identity/no-cross-delivery"
BLUE, GREEN = "outbound.server.blue", "outbound.server.green"

ANSWER_KEPT = """
local kept
function envoy_on_request(handle)
  if kept then handle:respond({[":status"] = "200"}, kept) end
end
function envoy_on_response(handle)
  if handle:headers():get("x-tag") then
    local body = handle:body()
    kept = body:getBytes(0, body:length())
  end
end
"""


def namesakes_taken_for_each_other(workload: str, resources: Resources) -> None:
    server_identity_unchecked()(workload, resources)
    for endpoints in resources["endpoints"]:
        name = endpoints["cluster_name"]
        if name.startswith(GREEN):
            blue = next(one for one in resources["endpoints"] if one["cluster_name"] == name.replace(GREEN, BLUE))
            endpoints["endpoints"] = blue["endpoints"]


def answers_kept(_workload: str, resources: Resources) -> None:
    parts.script(ANSWER_KEPT, *parts.outbound(resources))


DEFECTS = {
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
    "answers-kept": Defect(
        "A client's data plane gives the answer to one request to later ones, too.",
        (f"{DELIVERY}[http]",),
        answers_kept,
    ),
}
