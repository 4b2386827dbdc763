"""Data planes that let in, or talk to, whom they should not."""

from collections.abc import Callable
from typing import Any

from pytest_meshcheck.meshes.envoy.sidecar_mesh import TRUST_DOMAIN
from tests.falsify import parts
from tests.falsify.defect import Defect, Plant, Resources
from tests.falsify.meshes.faulty import WideScopesIgnored
from tests.falsify.meshes.promising import TunnelsForAll

OLD_TLS = {
    "tls_minimum_protocol_version": "TLSv1_0",
    "tls_maximum_protocol_version": "TLSv1_3",
    "cipher_suites": ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA"],
}


PORTS = ("http", "grpc", "tcp")
EXPIRED = "mtls/expired-certificate-is-refused"
UNKNOWN = "mtls/certificate-of-another-authority-is-refused"
IMPOSTOR = "mtls/impostor-server-is-refused"
NEAR_MISS = "mtls/near-miss-server-is-refused"
TUNNEL = "mtls/hostile-tunnel-is-refused"
HOSTILE_PEERS = ("no-certificate", "other-authority", "expired", "not-yet-valid", "other-trust-domain", "no-identity")
MALFORMED = "mtls/malformed-identity-is-refused"
MALFORMED_SERVER = "mtls/malformed-identity-of-server-is-refused"


def on_every_port(check: str, *parameters: str) -> tuple[str, ...]:
    """The check on a port of each protocol, with each of these parameters before the port."""
    before = [f"{parameter}-" for parameter in parameters] or [""]
    return tuple(f"{check}[{parameter}{port}]" for parameter in before for port in PORTS)


def impostors(whose: str, *ports: str) -> tuple[str, ...]:
    """The check of an impostor with somebody else's certificate on these ports, by default on all, and either way."""
    vias = ("service", "address")
    return tuple(f"{IMPOSTOR}[{whose}-{port}-{via}]" for port in ports or PORTS for via in vias)


def client_certificate_not_required(_workload: str, resources: Resources) -> None:
    for context in parts.server_contexts(resources):
        parts.ask_for_no_certificate(context)


def accept_plaintext(listener: dict[str, Any]) -> None:
    listener |= {"listener_filters_timeout": "0.1s", "continue_on_listener_filters_timeout": True}
    if not parts.plaintext_chains(listener):
        parts.add_plaintext_chain(listener, parts.filters(listener))


def only_the_first_strict_port(_workload: str, resources: Resources) -> None:
    strict = [listener for listener in parts.inbound(resources) if not parts.plaintext_chains(listener)]
    for listener in strict[1:]:
        accept_plaintext(listener)


def strict_ignored(*ports: str) -> Plant:
    """Accept plaintext on these ports, by default on all."""

    def plant(_workload: str, resources: Resources) -> None:
        for listener in parts.inbound(resources):
            if not ports or parts.port_of(listener) in ports:
                accept_plaintext(listener)

    return plant


def bypassed(_workload: str, resources: Resources) -> None:
    for listener in parts.inbound(resources):
        listener["listener_filters"] = []
        listener["filter_chains"] = [{"filters": [parts.tcp_proxy(listener["name"])]}]


def permissive_refuses_plaintext(_workload: str, resources: Resources) -> None:
    for listener in parts.inbound(resources):
        listener["filter_chains"] = [parts.secure_chain(listener)]


def permissive_does_not_authenticate(_workload: str, resources: Resources) -> None:
    for listener in parts.inbound(resources):
        if parts.plaintext_chains(listener):
            parts.ask_for_no_certificate(parts.secure_chain(listener)["transport_socket"]["typed_config"])


def plaintext_to_the_server(_workload: str, resources: Resources) -> None:
    for cluster in resources["clusters"]:
        cluster.pop("transport_socket", None)


def server_identity_unchecked(*ports: str) -> Plant:
    """Do not compare the identity of servers on these ports, by default on all."""

    def plant(_workload: str, resources: Resources) -> None:
        for context in parts.client_contexts(resources, *ports):
            del parts.validation(context)["match_typed_subject_alt_names"]

    return plant


def server_identity_matched(matcher: Callable[[str], dict[str, Any]]) -> Plant:
    """Compare the server's identity by a matcher that is made from the right one."""

    def plant(_workload: str, resources: Resources) -> None:
        for context in parts.client_contexts(resources):
            (name,) = parts.validation(context)["match_typed_subject_alt_names"]
            name["matcher"] = matcher(name["matcher"]["exact"])

    return plant


def server_identity_by(field: str, start: int, stop: int | None) -> Plant:
    """Compare only this part, between slashes, of the server's identity: by ``prefix`` or ``suffix``."""
    return server_identity_matched(lambda right: {field: "/".join(right.split("/")[start:stop])})


def members_by_prefix(_workload: str, resources: Resources) -> None:
    for context in parts.server_contexts(resources):
        (name,) = parts.validation(context)["match_typed_subject_alt_names"]
        name["matcher"] = {"prefix": f"spiffe://{TRUST_DOMAIN}/"}


def several_identities_accepted(_workload: str, resources: Resources) -> None:
    for listener in parts.inbound(resources):
        parts.secure_chain(listener)["filters"] = parts.filters(listener)


def names_of_any_type(_workload: str, resources: Resources) -> None:
    for context in (*parts.server_contexts(resources), *parts.client_contexts(resources)):
        names = parts.validation(context)["match_typed_subject_alt_names"]
        names.append(names[0] | {"san_type": "DNS"})


def any_trust_domain(_workload: str, resources: Resources) -> None:
    for context in parts.server_contexts(resources):
        del parts.validation(context)["match_typed_subject_alt_names"]


def lenient(**validation: Any) -> tuple[Plant, Plant]:
    """Validation of peers that leaves something out: on the server's side, and on the client's."""

    def of_clients(_workload: str, resources: Resources) -> None:
        for context in parts.server_contexts(resources):
            parts.validation(context).update(validation)

    def of_servers(_workload: str, resources: Resources) -> None:
        for context in parts.client_contexts(resources):
            parts.validation(context).update(validation)

    return of_clients, of_servers


EXPIRED_CLIENTS, EXPIRED_SERVERS = lenient(allow_expired_certificate=True)
UNKNOWN_CLIENTS, UNKNOWN_SERVERS = lenient(trust_chain_verification="ACCEPT_UNTRUSTED")


def old_tls(_workload: str, resources: Resources) -> None:
    for context in parts.server_contexts(resources):
        context["common_tls_context"]["tls_params"] = dict(OLD_TLS)


DEFECTS = {
    "client-certificate-not-required": Defect(
        "A server under strict mutual TLS speaks TLS with clients that show no certificate.",
        on_every_port("mtls/client-without-certificate-is-refused"),
        client_certificate_not_required,
    ),
    "tunnels-for-all": Defect(
        "Tunnels to workloads are opened to peers of whom no certificate is asked.",
        tuple(f"{TUNNEL}[{one}]" for one in HOSTILE_PEERS),
        mesh=TunnelsForAll,
    ),
    "only-first-strict-port": Defect(
        "Of several strict ports only the first refuses plaintext.",
        (
            "mtls/plaintext-is-refused-on-every-strict-port[first-and-second]",
            "mtls/plaintext-is-refused-on-every-strict-port[second-and-first]",
        ),
        only_the_first_strict_port,
    ),
    "strict-ignored": Defect(
        "A strict policy is accepted and ignored.",
        (
            "mtls/plaintext-is-refused[workload-service]",
            "mtls/plaintext-is-refused[mesh-address]",
            "mtls/plaintext-is-refused-on-every-strict-port[http-and-grpc]",
            *(f"mtls/enrolment-matrix[strict-{port}-service]" for port in (*PORTS, "tcp-banner")),
        ),
        strict_ignored(),
    ),
    "strict-ignored-for-tcp": Defect(
        "Ports with opaque TCP accept plaintext under strict mutual TLS.",
        (
            "mtls/plaintext-is-refused[workload-service]",
            "mtls/plaintext-is-refused[mesh-address]",
            "mtls/plaintext-is-refused-for-tcp-and-grpc[tcp]",
            "mtls/plaintext-is-refused-for-tcp-and-grpc[tcp-banner]",
            "mtls/plaintext-is-refused-on-every-strict-port[http-grpc-tcp]",
            "mtls/open-connections-follow-policy[briefly]",
        ),
        strict_ignored("tcp", "tcp-banner"),
    ),
    "strict-ignored-for-grpc": Defect(
        "gRPC ports accept plaintext under strict mutual TLS.",
        (
            "mtls/plaintext-is-refused[namespace-address]",
            "mtls/plaintext-is-refused-for-tcp-and-grpc[grpc]",
            "mtls/plaintext-is-refused-on-every-strict-port[http-and-grpc]",
            "mtls/open-connections-follow-policy[briefly]",
        ),
        strict_ignored("grpc"),
    ),
    "sidecar-bypassed": Defect(
        "Ports bypass the sidecar: outsiders reach the application under strict mutual TLS, and members do not.",
        (
            "mtls/plaintext-is-refused[workload-service]",
            "mtls/plaintext-is-refused[namespace-address]",
            "mtls/plaintext-is-refused-on-every-strict-port[http-and-grpc]",
            "mtls/plaintext-is-refused-for-tcp-and-grpc[grpc]",
            "mtls/plaintext-is-refused-for-tcp-and-grpc[tcp]",
            "mtls/plaintext-is-refused-for-tcp-and-grpc[tcp-banner]",
        ),
        bypassed,
    ),
    "wide-scopes-ignored": Defect(
        "A strict policy for a namespace or for the whole mesh has no effect.",
        ("mtls/plaintext-is-refused[namespace-service]", "mtls/plaintext-is-refused[mesh-service]"),
        mesh=WideScopesIgnored,
    ),
    "permissive-refuses-plaintext": Defect(
        "A server under permissive mutual TLS refuses plaintext.",
        (
            "mtls/permissive-accepts-both[http]",
            "mtls/permissive-accepts-both[tcp]",
            *(f"mtls/enrolment-matrix[permissive-{port}-service]" for port in (*PORTS, "tcp-banner")),
        ),
        permissive_refuses_plaintext,
    ),
    "permissive-does-not-authenticate": Defect(
        "A server under permissive mutual TLS asks no client for its certificate.",
        ("mtls/permissive-accepts-both[http]", "mtls/permissive-accepts-both[grpc]"),
        permissive_does_not_authenticate,
    ),
    "plaintext-upstream": Defect(
        "Clients in the mesh call a permissive server in plaintext.",
        (
            "mtls/request-is-unreadable-on-the-wire[http-service]",
            "mtls/request-is-unreadable-on-the-wire[grpc-service]",
            "mtls/request-is-unreadable-on-the-wire[tcp-service]",
            "mtls/permissive-accepts-both[tcp]",
        ),
        plaintext_to_the_server,
    ),
    "server-identity-not-checked": Defect(
        "A client's data plane takes every certificate of the right authority for the server's.",
        (
            *impostors("other-service-account"),
            *impostors("other-namespace"),
            *impostors("no-identity"),
            *on_every_port("mtls/other-trust-domain-is-refused"),
            *(f"{NEAR_MISS}[other-case-{port}-address]" for port in PORTS),
        ),
        server_identity_unchecked(),
    ),
    "server-identity-only-by-namespace": Defect(
        "A client's data plane compares a server's trust domain and namespace, not its service account.",
        impostors("other-service-account"),
        server_identity_by("prefix", 0, 5),
    ),
    "server-identity-only-by-name": Defect(
        "A client's data plane compares a server's service account, not its namespace.",
        impostors("other-namespace"),
        server_identity_by("suffix", 5, None),
    ),
    "server-identity-by-prefix": Defect(
        "A client's data plane takes every server whose identity begins with the right one.",
        (
            *(f"{NEAR_MISS}[begins-with-it-{port}-service]" for port in PORTS),
            f"{NEAR_MISS}[one-segment-more-http-address]",
            *(f"{MALFORMED_SERVER}[{case}]" for case in ("nul-in-name", "trailing-slash", "query")),
        ),
        server_identity_matched(lambda right: {"prefix": right}),
    ),
    "server-identity-by-suffix": Defect(
        "A client's data plane takes every server whose identity ends as the right one does.",
        tuple(f"{NEAR_MISS}[ends-with-it-{port}-service]" for port in PORTS),
        server_identity_matched(lambda right: {"suffix": right.partition("://")[2]}),
    ),
    "server-identity-by-path": Defect(
        "A client's data plane compares the path of a server's identity, not its trust domain.",
        tuple(f"{NEAR_MISS}[other-trust-domain-{port}-service]" for port in PORTS),
        server_identity_matched(lambda right: {"suffix": right.partition(TRUST_DOMAIN)[2]}),
    ),
    "server-identity-in-any-case": Defect(
        "A client's data plane compares a server's identity without regard to case.",
        (
            *(f"{NEAR_MISS}[other-case-{port}-service]" for port in PORTS),
            f"{MALFORMED_SERVER}[upper-case-trust-domain]",
        ),
        server_identity_matched(lambda right: {"exact": right, "ignore_case": True}),
    ),
    "server-identity-as-pattern": Defect(
        "A client's data plane takes the right identity for a regular expression, in which a dot is any character.",
        tuple(f"{NEAR_MISS}[any-character-for-a-dot-{port}-service]" for port in PORTS),
        server_identity_matched(lambda right: {"safe_regex": {"regex": right}}),
    ),
    "server-identity-by-parent": Defect(
        "A client's data plane takes every server whose identity begins as the right one does, up to its last slash.",
        tuple(f"{NEAR_MISS}[one-segment-less-{port}-service]" for port in PORTS),
        server_identity_matched(lambda right: {"prefix": right.rpartition("/")[0]}),
    ),
    "server-identity-not-checked-over-tcp": Defect(
        "A client's data plane takes every certificate of the right authority for the server's on opaque ports.",
        (
            f"{NEAR_MISS}[begins-with-it-tcp-service]",
            "mtls/other-trust-domain-is-refused[tcp]",
            *impostors("other-namespace", "tcp"),
        ),
        server_identity_unchecked("tcp"),
    ),
    "server-identity-not-checked-over-grpc": Defect(
        "A client's data plane takes every certificate of the right authority for the server's on gRPC ports.",
        (
            f"{NEAR_MISS}[begins-with-it-grpc-service]",
            "mtls/other-trust-domain-is-refused[grpc]",
            *impostors("other-namespace", "grpc"),
        ),
        server_identity_unchecked("grpc"),
    ),
    "members-by-prefix": Defect(
        "A server lets in every identity that begins with its trust domain, well-formed or not.",
        tuple(
            f"{MALFORMED}[{case}]"
            for case in ("nul-in-name", "wildcard", "dot-segments", "trailing-slash", "percent-encoded", "query")
        ),
        members_by_prefix,
    ),
    "several-identities-accepted": Defect(
        "A server lets in clients that bear several identities.",
        (f"{MALFORMED}[second-identity]", f"{MALFORMED}[second-of-two-identities]"),
        several_identities_accepted,
    ),
    "names-of-any-type": Defect(
        "Data planes take a DNS name of the same text for an identity.",
        (f"{MALFORMED}[dns-name-of-same-text]", f"{MALFORMED_SERVER}[dns-name-of-same-text]"),
        names_of_any_type,
    ),
    "any-trust-domain": Defect(
        "A server lets in every identity that chains to the root, also of another trust domain.",
        on_every_port("mtls/other-trust-domain-is-refused"),
        any_trust_domain,
    ),
    "expired-client-accepted": Defect(
        "A server does not look at the validity period of a client's certificate.",
        on_every_port(EXPIRED, "expired", "not-yet-valid"),
        EXPIRED_CLIENTS,
    ),
    "expired-server-accepted": Defect(
        "A client's data plane does not look at the validity period of a server's certificate.",
        on_every_port(EXPIRED, "expired", "not-yet-valid"),
        EXPIRED_SERVERS,
    ),
    "unknown-authority-of-clients": Defect(
        "A server lets in clients whose certificate comes from an unknown authority.",
        (*on_every_port(UNKNOWN), f"{MALFORMED}[issued-by-a-leaf]", f"{MALFORMED}[path-too-long]"),
        UNKNOWN_CLIENTS,
    ),
    "unknown-authority-of-servers": Defect(
        "A client's data plane talks to servers whose certificate comes from an unknown authority.",
        (*on_every_port(UNKNOWN), f"{MALFORMED_SERVER}[issued-by-a-leaf]", f"{MALFORMED_SERVER}[path-too-long]"),
        UNKNOWN_SERVERS,
    ),
    "old-tls-accepted": Defect(
        "A server accepts TLS 1.0 and 1.1.",
        ("mtls/protocol-floor[TLSv1]", "mtls/protocol-floor[TLSv1.1]"),
        old_tls,
    ),
}
