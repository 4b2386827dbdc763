"""Upgrades at the cost of the traffic, or of what protects it."""

from tests.falsify import parts
from tests.falsify.defect import Defect, Resources
from tests.falsify.meshes.upgrading import OpenWhileUpgraded, RestartsCold, RestartsWithControlPlane, by_version

CONTROL_PLANE = "lifecycle/control-plane-upgrade-loses-nothing"
DATA_PLANES = "lifecycle/data-plane-upgrade-loses-nothing"
PLAINTEXT = "lifecycle/upgrade-never-lets-plaintext-in"
SKEW = "lifecycle/version-skew"
SKEW_PLAINTEXT = "lifecycle/version-skew-lets-no-plaintext-in"
CHECKS = (CONTROL_PLANE, DATA_PLANES, PLAINTEXT, SKEW, SKEW_PLAINTEXT)

OLDER = {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_2"}
NEWER = {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}
HEAD = {"prefix": "/", "headers": [{"name": ":method", "string_match": {"exact": "HEAD"}}]}
FORMER = 2
"""How often a data plane of the former version was replaced, once the mesh has returned to it."""


def is_new(replaced: int) -> bool:
    """Whether a data plane that was replaced this many times is of the new version."""
    return replaced % 2 == 1


def new_servers_refuse_old_clients(resources: Resources, replaced: int) -> None:
    """New servers speak TLS 1.3 alone, and old clients TLS 1.2."""
    new = is_new(replaced)
    for context in parts.server_contexts(resources) if new else parts.client_contexts(resources):
        context["common_tls_context"]["tls_params"] = NEWER if new else OLDER


def new_clients_refuse_old_servers_over_tcp(resources: Resources, replaced: int) -> None:
    """New clients speak TLS 1.3 alone on TCP ports, and old servers TLS 1.2."""
    if is_new(replaced):
        for context in parts.client_contexts(resources, "tcp"):
            context["common_tls_context"]["tls_params"] = NEWER
        return
    for listener in parts.inbound(resources):
        if parts.port_of(listener) == "tcp":
            context = parts.secure_chain(listener)["transport_socket"]["typed_config"]
            context["common_tls_context"]["tls_params"] = OLDER


def new_servers_forget_callers(resources: Resources, replaced: int) -> None:
    """New servers state no caller."""
    if is_new(replaced):
        for manager in parts.managers(*parts.inbound(resources)):
            manager["forward_client_cert_details"] = "SANITIZE"


def new_servers_take_plaintext_over_tcp(resources: Resources, replaced: int) -> None:
    """New servers take plaintext on TCP ports."""
    if is_new(replaced):
        parts.take_plaintext(resources, "tcp")


def former_servers_take_plaintext(resources: Resources, replaced: int) -> None:
    """Servers that have returned to the former version take plaintext."""
    if replaced == FORMER:
        parts.take_plaintext(resources, "http", "grpc", "tcp")


def new_servers_refuse_head(resources: Resources, replaced: int) -> None:
    """New servers answer HEAD with 503."""
    if is_new(replaced):
        for host in parts.inbound_hosts(resources):
            host["routes"].insert(0, {"match": HEAD, "direct_response": {"status": 503}})


def over(check: str, *ports: str) -> tuple[str, ...]:
    """A check on these ports."""
    return tuple(f"{check}[{port}]" for port in ports)


DEFECTS = {
    "restarts-with-control-plane": Defect(
        "All data planes are restarted when the control plane is upgraded.",
        kills=(CONTROL_PLANE,),
        mesh=RestartsWithControlPlane,
    ),
    "restarts-cold": Defect(
        "Each data plane is stopped before that of the next version is started.",
        kills=(DATA_PLANES,),
        mesh=RestartsCold,
    ),
    "open-while-upgraded": Defect(
        "Servers take plaintext until every data plane has followed an upgrade.",
        kills=(PLAINTEXT,),
        mesh=OpenWhileUpgraded,
    ),
    "new-servers-refuse-old-clients": Defect(
        "Data planes of the new version refuse the TLS of clients with the old one.",
        kills=over(SKEW, "http", "grpc", "tcp"),
        mesh=by_version(new_servers_refuse_old_clients),
    ),
    "new-servers-refuse-head": Defect(
        "Data planes of the new version answer HEAD with 503.",
        kills=over(SKEW, "http"),
        mesh=by_version(new_servers_refuse_head),
    ),
    "new-clients-refuse-old-servers-over-tcp": Defect(
        "Data planes of the new version refuse the TLS of servers with the old one, on TCP ports.",
        kills=over(SKEW, "tcp"),
        mesh=by_version(new_clients_refuse_old_servers_over_tcp),
    ),
    "new-servers-forget-callers": Defect(
        "Data planes of the new version tell servers no caller.",
        kills=over(SKEW, "http", "grpc"),
        mesh=by_version(new_servers_forget_callers),
    ),
    "new-servers-take-plaintext-over-tcp": Defect(
        "Data planes of the new version accept plaintext on TCP ports under strict mutual TLS.",
        kills=over(SKEW_PLAINTEXT, "tcp"),
        mesh=by_version(new_servers_take_plaintext_over_tcp),
    ),
    "former-servers-take-plaintext": Defect(
        "Data planes that have returned to the former version accept plaintext under strict mutual TLS.",
        kills=over(SKEW_PLAINTEXT, "http", "grpc", "tcp"),
        mesh=by_version(former_servers_take_plaintext),
    ),
}
