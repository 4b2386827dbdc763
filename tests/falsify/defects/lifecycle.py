"""Outages, restarts and changes at the cost of the traffic, or of what protects it."""

import hashlib
import json
from typing import Any

from tests.falsify import parts
from tests.falsify.defect import Defect, Plant, Resources
from tests.falsify.meshes.control_planes import (
    ClustersWithdrawn,
    DeafAfterOutage,
    Flapping,
    Forgetful,
    GoesBack,
    NewcomersUnreached,
    NewcomersWithoutSidecar,
    OpenWithoutControlPlane,
    ReadyTooEarly,
    RestartedWithControlPlane,
    RootOfItsOwn,
)
from tests.falsify.meshes.restarts import (
    ClientsOpenWhileRestarting,
    GoneBeforeCallersKnow,
    ReadableAfterRestart,
    ReplacedAtOnce,
    ReplacedCold,
    ServersOpenWhileRestarting,
)

SERVER_RESTART = "mtls/no-plaintext-while-data-plane-restarts"
CLIENT_RESTART = "mtls/client-sends-no-plaintext-while-its-data-plane-restarts"
DRAINS = "lifecycle/data-plane-restart-drains[at-once]"
LEAVING = "lifecycle/leaving-endpoint-loses-nothing"
SIGNING_OFF = "lifecycle/terminating-client-loses-nothing"
READY = "lifecycle/ready-means-ready[1]"
RESTARTED = "lifecycle/restarted-data-plane-fails-closed"
REPLICAS = "rotation/every-replica-issues-one-bundle"
OUTAGE = "lifecycle/control-plane-outage-changes-nothing"
RETURN = "lifecycle/policies-act-after-control-plane-outage"
NEWCOMERS = "lifecycle/new-workload-fails-closed"
POLICY_CHANGE = tuple(
    f"lifecycle/policy-change-loses-nothing[{kind}]" for kind in ("retry", "timeout", "connections", "mutual-tls")
)
UNRELATED = "lifecycle/changes-for-others-change-nothing"

PORTS = ("http", "grpc")
UNROUTED = ("blue/prompt", "blue/of-replica", "blue/killed")
"""Workloads of checks that start, or crash, as the control plane comes or goes."""
NEW = ("blue/newcomer", "blue/prompt")
"""Workloads that start as the control plane comes back."""


def endpoints_kept() -> Plant:
    """Go on to choose the endpoints of a rolled service that are leaving."""
    known: dict[str, dict[str, Any]] = {}

    def plant(_workload: str, resources: Resources) -> None:
        for one in resources["endpoints"]:
            if "rolled" not in one["cluster_name"]:
                continue
            there = known.setdefault(one["cluster_name"], {})
            there |= {json.dumps(each): each for group in one["endpoints"] for each in group["lb_endpoints"]}
            one["endpoints"] = [{"lb_endpoints": list(there.values())}]

    return plant


def newcomer_open(workload: str, resources: Resources) -> None:
    if workload in NEW:
        parts.take_plaintext(resources)


def newcomer_without_route(workload: str, resources: Resources) -> None:
    if workload in UNROUTED:
        for host in parts.inbound_hosts(resources):
            parts.answer_itself(*host["routes"])


def newcomer_turned_away(workload: str, resources: Resources) -> None:
    if workload in UNROUTED:
        parts.answer_itself(*(route for _, route in parts.outbound_routes(resources)))


def listeners_anew(_workload: str, resources: Resources) -> None:
    modes = [len(listener["filter_chains"]) for listener in parts.inbound(resources)]
    policies = hashlib.sha256(json.dumps([modes, resources["routes"]]).encode()).hexdigest()
    for manager in parts.managers(*resources["listeners"]):
        manager["stat_prefix"] += policies


DEFECTS = {
    "leaving-endpoint-kept": Defect(
        "Data planes go on to choose an endpoint that terminates, for as long as its application serves.",
        (f"{LEAVING}[http]", f"{LEAVING}[grpc]"),
        endpoints_kept(),
    ),
    "servers-open-while-restarting": Defect(
        "Callers reach the application of a server directly while its data plane is away.",
        (SERVER_RESTART, RESTARTED),
        mesh=ServersOpenWhileRestarting,
    ),
    "clients-open-while-restarting": Defect(
        "Requests of a client leave it as they are while its data plane is away.",
        (CLIENT_RESTART,),
        mesh=ClientsOpenWhileRestarting,
    ),
    "readable-after-restart": Defect(
        "A data plane that was restarted connects without TLS, and names its workload in a header.",
        (CLIENT_RESTART,),
        mesh=ReadableAfterRestart,
    ),
    "replaced-at-once": Defect(
        "A data plane ends as soon as another one has taken over, whatever is under way.",
        (DRAINS,),
        mesh=ReplacedAtOnce,
    ),
    "replaced-cold": Defect("A data plane is stopped before its successor is started.", (DRAINS,), mesh=ReplacedCold),
    "gone-before-callers-know": Defect(
        "The data plane of a terminating workload is gone before callers have stopped using it, or itself has.",
        tuple(f"{LEAVING}[{port}]" for port in PORTS) + tuple(f"{SIGNING_OFF}[{port}-at-once]" for port in PORTS),
        mesh=GoneBeforeCallersKnow,
    ),
    "open-without-control-plane": Defect(
        "Servers take plaintext while the control plane is away.", (OUTAGE,), mesh=OpenWithoutControlPlane
    ),
    "restarted-with-control-plane": Defect(
        "Data planes are restarted once the control plane is back.", (OUTAGE,), mesh=RestartedWithControlPlane
    ),
    "deaf-after-outage": Defect(
        "Data planes follow no change any more after an outage of the control plane.", (RETURN,), mesh=DeafAfterOutage
    ),
    "newcomers-without-sidecar": Defect(
        "A workload that starts while the control plane is away has no data plane, and takes what comes.",
        (NEWCOMERS,),
        mesh=NewcomersWithoutSidecar,
    ),
    "newcomers-for-outsiders-alone": Defect(
        "A workload that starts while the control plane is away takes what comes, and no member reaches it.",
        (NEWCOMERS,),
        mesh=NewcomersUnreached,
    ),
    "ready-too-early": Defect(
        "The control plane reports that it is ready while workloads still start without a data plane.",
        (READY,),
        mesh=ReadyTooEarly,
    ),
    "newcomer-open": Defect(
        "A workload that starts as the control plane comes back takes plaintext, whatever its policy says.",
        (NEWCOMERS, READY),
        newcomer_open,
    ),
    "newcomer-without-route": Defect(
        "A workload that starts as the control plane comes or goes has a data plane that leads nowhere.",
        (READY, REPLICAS),
        newcomer_without_route,
    ),
    "newcomer-turned-away": Defect(
        "The requests of a workload that starts after an outage of the authority are refused.",
        (REPLICAS,),
        newcomer_turned_away,
    ),
    "root-of-its-own": Defect(
        "An authority that is started anew issues under a root of its own, and announces that as well.",
        (REPLICAS,),
        mesh=RootOfItsOwn,
    ),
    "flapping": Defect(
        "Every change of a policy has requests refused for a moment.", (*POLICY_CHANGE[:1], UNRELATED), mesh=Flapping
    ),
    "forgetful": Defect(
        "Whenever a policy changes, the others are not in effect for a moment.", (UNRELATED,), mesh=Forgetful
    ),
    "clusters-withdrawn": Defect(
        "During every policy change routes lead to clusters that do not exist for a moment.",
        POLICY_CHANGE[:1],
        mesh=ClustersWithdrawn,
    ),
    "listeners-anew": Defect(
        "Every policy change replaces listeners, and cuts requests in flight when the drain period ends.",
        POLICY_CHANGE,
        listeners_anew,
    ),
    "goes-back": Defect(
        "After every policy change the old policy takes effect again for a moment.", POLICY_CHANGE, mesh=GoesBack
    ),
}
