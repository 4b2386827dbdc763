"""Data planes that let in, or talk to, whom they should not."""

from typing import Any

from tests.falsify import parts
from tests.falsify.defect import Defect, Plant, Resources
from tests.falsify.meshes.faulty import WideScopesIgnored

OLD_TLS = {
    "tls_minimum_protocol_version": "TLSv1_0",
    "tls_maximum_protocol_version": "TLSv1_3",
    "cipher_suites": ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA"],
}


def client_certificate_not_required(_workload: str, resources: Resources) -> None:
    for context in parts.server_contexts(resources):
        ask_for_no_certificate(context)


def ask_for_no_certificate(context: dict[str, Any]) -> None:
    context["require_client_certificate"] = False
    del context["common_tls_context"]["combined_validation_context"]


def accept_plaintext(listener: dict[str, Any]) -> None:
    listener |= {"listener_filters_timeout": "0.1s", "continue_on_listener_filters_timeout": True}
    if not parts.plaintext_chains(listener):
        filters = parts.secure_chain(listener)["filters"]
        match = {"transport_protocol": "raw_buffer"}
        listener["filter_chains"].append({"name": "plaintext", "filter_chain_match": match, "filters": filters})


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
            ask_for_no_certificate(parts.secure_chain(listener)["transport_socket"]["typed_config"])


def plaintext_to_the_server(_workload: str, resources: Resources) -> None:
    for cluster in resources["clusters"]:
        cluster.pop("transport_socket", None)


def any_server_identity(_workload: str, resources: Resources) -> None:
    for context in parts.client_contexts(resources):
        del parts.validation(context)["match_typed_subject_alt_names"]


def server_identity_by(field: str, start: int, stop: int | None) -> Plant:
    """Compare only this part, between slashes, of the server's identity: by ``prefix`` or ``suffix``."""

    def plant(_workload: str, resources: Resources) -> None:
        for context in parts.client_contexts(resources):
            (name,) = parts.validation(context)["match_typed_subject_alt_names"]
            name["matcher"] = {field: "/".join(name["matcher"]["exact"].split("/")[start:stop])}

    return plant


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
        ("mtls/client-without-certificate-is-refused",),
        client_certificate_not_required,
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
        ),
        strict_ignored(),
    ),
    "strict-ignored-for-tcp": Defect(
        "Ports with opaque TCP accept plaintext under strict mutual TLS.",
        (
            "mtls/plaintext-is-refused-for-tcp-and-grpc[tcp]",
            "mtls/plaintext-is-refused-for-tcp-and-grpc[tcp-banner]",
            "mtls/plaintext-is-refused-on-every-strict-port[http-grpc-tcp]",
        ),
        strict_ignored("tcp", "tcp-banner"),
    ),
    "strict-ignored-for-grpc": Defect(
        "gRPC ports accept plaintext under strict mutual TLS.",
        (
            "mtls/plaintext-is-refused-for-tcp-and-grpc[grpc]",
            "mtls/plaintext-is-refused-on-every-strict-port[http-and-grpc]",
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
        ("mtls/permissive-accepts-both[http]", "mtls/permissive-accepts-both[tcp]"),
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
            "mtls/request-is-unreadable-on-the-wire[http]",
            "mtls/request-is-unreadable-on-the-wire[grpc]",
            "mtls/request-is-unreadable-on-the-wire[tcp]",
            "mtls/permissive-accepts-both[tcp]",
        ),
        plaintext_to_the_server,
    ),
    "server-identity-not-checked": Defect(
        "A client's data plane takes every certificate of the right authority for the server's.",
        (
            "mtls/impostor-server-is-refused[other-service-account-service]",
            "mtls/impostor-server-is-refused[other-service-account-address]",
            "mtls/impostor-server-is-refused[other-namespace-service]",
            "mtls/impostor-server-is-refused[other-namespace-address]",
            "mtls/impostor-server-is-refused[no-identity-service]",
            "mtls/impostor-server-is-refused[no-identity-address]",
            "mtls/other-trust-domain-is-refused",
        ),
        any_server_identity,
    ),
    "server-identity-only-by-namespace": Defect(
        "A client's data plane compares a server's trust domain and namespace, not its service account.",
        (
            "mtls/impostor-server-is-refused[other-service-account-service]",
            "mtls/impostor-server-is-refused[other-service-account-address]",
        ),
        server_identity_by("prefix", 0, 5),
    ),
    "server-identity-only-by-name": Defect(
        "A client's data plane compares a server's service account, not its namespace.",
        (
            "mtls/impostor-server-is-refused[other-namespace-service]",
            "mtls/impostor-server-is-refused[other-namespace-address]",
        ),
        server_identity_by("suffix", 5, None),
    ),
    "any-trust-domain": Defect(
        "A server lets in every identity that chains to the root, also of another trust domain.",
        ("mtls/other-trust-domain-is-refused",),
        any_trust_domain,
    ),
    "expired-client-accepted": Defect(
        "A server does not look at the validity period of a client's certificate.",
        ("mtls/expired-certificate-is-refused[expired]", "mtls/expired-certificate-is-refused[not-yet-valid]"),
        EXPIRED_CLIENTS,
    ),
    "expired-server-accepted": Defect(
        "A client's data plane does not look at the validity period of a server's certificate.",
        ("mtls/expired-certificate-is-refused[expired]", "mtls/expired-certificate-is-refused[not-yet-valid]"),
        EXPIRED_SERVERS,
    ),
    "unknown-authority-of-clients": Defect(
        "A server lets in clients whose certificate comes from an unknown authority.",
        ("mtls/certificate-of-another-authority-is-refused",),
        UNKNOWN_CLIENTS,
    ),
    "unknown-authority-of-servers": Defect(
        "A client's data plane talks to servers whose certificate comes from an unknown authority.",
        ("mtls/certificate-of-another-authority-is-refused",),
        UNKNOWN_SERVERS,
    ),
    "old-tls-accepted": Defect(
        "A server accepts TLS 1.0 and 1.1.",
        ("mtls/protocol-floor[TLSv1]", "mtls/protocol-floor[TLSv1.1]"),
        old_tls,
    ),
}
