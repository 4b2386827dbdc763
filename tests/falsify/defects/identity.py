"""Data planes and authorities that are wrong about who somebody is."""

from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.falsify import parts
from tests.falsify.defect import Defect, Plant, Resources
from tests.falsify.meshes.claimed_addresses import ClaimedAddressesBelieved
from tests.falsify.meshes.faulty import (
    AlreadyEnded,
    IdentitiesWithoutNamespaces,
    NotYetValid,
    issuing,
    with_extension,
    with_names_alone,
)

SECOND_NAME = "spiffe://cluster.local/ns/blue/sa/second"
ONE_USAGE = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
NAMED_OTHERWISE = """
function envoy_on_request(handle)
  local seen = handle:headers():get("x-forwarded-client-cert")
  if seen then
    handle:headers():replace("x-forwarded-client-cert", (string.gsub(seen, "/sa/", "/serviceaccount/")))
  end
end
"""
CERTIFICATE_END = "-----END CERTIFICATE-----\n"


def header_details(inbound: str, outbound: str) -> Plant:
    """What connection managers do with the header that names the caller: at the server, and at the client."""

    def plant(_workload: str, resources: Resources) -> None:
        for listeners, details in ((parts.inbound(resources), inbound), (parts.outbound(resources), outbound)):
            for manager in parts.managers(*listeners):
                manager["forward_client_cert_details"] = details

    return plant


def origin_line_added(_workload: str, resources: Resources) -> None:
    kind = "type.googleapis.com/envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport"
    plain = {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"}
    inner = {"name": "envoy.transport_sockets.raw_buffer", "typed_config": plain}
    for cluster in resources["clusters"]:
        if cluster["name"].startswith("inbound.tcp"):
            config = {"@type": kind, "config": {"version": "V1"}, "transport_socket": inner}
            name = "envoy.transport_sockets.upstream_proxy_protocol"
            cluster["transport_socket"] = {"name": name, "typed_config": config}


def named_otherwise(_workload: str, resources: Resources) -> None:
    parts.script(NAMED_OTHERWISE, *parts.inbound(resources))


class OneCertificatePerName:
    """Workloads of the same name share the certificate of the first of them."""

    def __init__(self) -> None:
        self._first: dict[str, dict[str, Any]] = {}

    def __call__(self, workload: str, resources: Resources) -> None:
        identity = parts.secret(resources, "identity")
        name = workload.rpartition("/")[2]
        identity["tls_certificate"] = self._first.setdefault(name, identity["tls_certificate"])


def leaf_without_intermediate(_workload: str, resources: Resources) -> None:
    chain = parts.chain_of(resources)
    chain["inline_string"] = chain["inline_string"].partition(CERTIFICATE_END)[0] + CERTIFICATE_END


def two_names(leaf: x509.Certificate) -> x509.ExtensionType:
    (uri,) = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return x509.SubjectAlternativeName([uri, x509.UniformResourceIdentifier(SECOND_NAME)])


def a_dns_name(_leaf: x509.Certificate) -> x509.ExtensionType:
    return x509.SubjectAlternativeName([x509.DNSName("workload.example")])


def an_authority(_leaf: x509.Certificate) -> x509.ExtensionType:
    return x509.BasicConstraints(ca=True, path_length=None)


def for_clients_alone(_leaf: x509.Certificate) -> x509.ExtensionType:
    return ONE_USAGE


def key_for(*usages: str) -> Callable[[x509.Certificate], x509.ExtensionType]:
    """The key usage of a leaf: that of handshakes, and these."""
    stated = {usage: usage in {"digital_signature", *usages} for usage in USAGES}
    return lambda _leaf: x509.KeyUsage(**stated)


def of_ports(check: str) -> tuple[str, ...]:
    """A check of what applications learn of callers, on each of its ports."""
    return f"{check}[http]", f"{check}[grpc]"


def of_both(check: str) -> tuple[str, ...]:
    """A check of a certificate, for each workload whose certificate it looks at."""
    return f"{check}[server]", f"{check}[renewing]"


SEES = "identity/server-sees-the-callers-identity"
MINTED = "identity/minted-peer-cannot-claim-another"
OPAQUE = "identity/minted-peer-is-not-believed-on-opaque-ports"
ONE_NAME = "identity/svid-has-one-uri-san"
NO_CA = "identity/svid-is-no-ca"
KEY_USAGE = "identity/svid-key-usage"
PURPOSES = "identity/svid-extended-key-usage"
STATES_PURPOSES = "identity/svid-has-extended-key-usage"
VALID = "identity/svid-is-valid-now"
CHAIN = "identity/svid-chains-to-root"
CLAIMED = "identity/claimed-identity-headers-are-not-trusted"

DEFECTS = {
    "identity-header-passed-through": Defect(
        "The header with the caller's identity reaches the application as the client wrote it.",
        (f"{CLAIMED}[enrolled]", f"{CLAIMED}[outsider]", f"{MINTED}[http1]", f"{MINTED}[grpc]"),
        header_details("ALWAYS_FORWARD_ONLY", "ALWAYS_FORWARD_ONLY"),
    ),
    "identity-header-appended-to": Defect(
        "What the mesh says of a caller is appended to what the caller says of itself.",
        (f"{CLAIMED}[enrolled]",),
        header_details("APPEND_FORWARD", "ALWAYS_FORWARD_ONLY"),
    ),
    "identity-of-peers-appended": Defect(
        "What the mesh says of a caller is appended to its own claims, which only data planes of callers remove.",
        (f"{MINTED}[http1]", f"{MINTED}[http2]", f"{MINTED}[grpc]"),
        header_details("APPEND_FORWARD", "SANITIZE"),
    ),
    "origin-line-added": Defect(
        "On opaque ports the application gets a line of the PROXY protocol before the peer's bytes.",
        (f"{OPAQUE}[request]", f"{OPAQUE}[proxy-protocol]"),
        origin_line_added,
    ),
    "claimed-addresses-believed": Defect(
        "On opaque ports the source address of a connection is taken from a PROXY protocol header.",
        (f"{OPAQUE}[proxy-protocol]",),
        mesh=ClaimedAddressesBelieved,
    ),
    "no-identity-passed": Defect(
        "The server's application does not learn who calls.",
        (*of_ports(SEES), f"{CLAIMED}[enrolled]", *(f"{MINTED}[{spoken}]" for spoken in ("http1", "http2", "grpc"))),
        header_details("SANITIZE", "SANITIZE"),
    ),
    "identities-mixed-up": Defect(
        "Workloads of the same name in different namespaces are given one certificate.",
        (*of_ports(SEES), "identity/certificate-per-workload"),
        OneCertificatePerName(),
    ),
    "identity-of-another-form": Defect(
        "The server's application learns the names of callers in another form than that of their certificates.",
        of_ports(SEES),
        named_otherwise,
    ),
    "identities-without-namespaces": Defect(
        "Identities leave the namespace out, so that service accounts of the same name share one.",
        of_ports(SEES),
        mesh=IdentitiesWithoutNamespaces,
    ),
    "leaf-without-intermediate": Defect(
        "Workloads serve their certificate without the intermediate that signed it.",
        of_both(CHAIN),
        leaf_without_intermediate,
    ),
    "svid-with-two-names": Defect(
        "Certificates of workloads have two URI SANs.",
        of_both(ONE_NAME),
        mesh=issuing("TwoNames", with_extension(two_names)),
    ),
    "svid-that-can-sign": Defect(
        "Certificates of workloads are those of an authority (cA is true).",
        of_both(NO_CA),
        mesh=issuing("CanSign", with_extension(an_authority)),
    ),
    "svid-for-clients-alone": Defect(
        "Certificates of workloads cannot authenticate a server (extended key usage).",
        of_both(PURPOSES),
        mesh=issuing("ForClientsAlone", with_extension(for_clients_alone)),
    ),
    "svid-key-that-signs-certificates": Defect(
        "The key of a workload may sign certificates (keyCertSign).",
        of_both(KEY_USAGE),
        mesh=issuing("SignsCertificates", with_extension(key_for("key_cert_sign"))),
    ),
    "svid-key-that-signs-revocation-lists": Defect(
        "The key of a workload may sign revocation lists (cRLSign).",
        of_both(KEY_USAGE),
        mesh=issuing("SignsRevocationLists", with_extension(key_for("crl_sign"))),
    ),
    "svid-without-extensions": Defect(
        "Certificates of workloads have no extension but their names.",
        (*of_both(NO_CA), *of_both(KEY_USAGE), *of_both(STATES_PURPOSES)),
        mesh=issuing("WithNamesAlone", with_names_alone),
    ),
    "svid-without-uri": Defect(
        "Certificates of workloads have a DNS name in place of the URI SAN.",
        of_both(ONE_NAME),
        mesh=issuing("WithDnsName", with_extension(a_dns_name)),
    ),
    "svid-not-yet-valid": Defect("Certificates of workloads begin in an hour.", of_both(VALID), mesh=NotYetValid),
    "svid-already-ended": Defect(
        "Certificates of workloads have ended before they are issued.", of_both(VALID), mesh=AlreadyEnded
    ),
}
