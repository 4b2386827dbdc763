"""Data planes that resume TLS sessions of peers that they would not let in any more."""

import base64

from cryptography import x509

from tests.falsify import parts
from tests.falsify.defect import Defect, Resources

RESUMPTION = "mtls/resumption-does-not-outlive-trust"

END = "-----END CERTIFICATE-----\n"
TICKET_KEY = base64.b64encode(bytes(80)).decode()

OTHER_ISSUERS_REFUSED = """
function envoy_on_request(handle)
  local peer = handle:streamInfo():downstreamSslConnection()
  if peer and peer:peerCertificateValidated() and peer:issuerPeerCertificate() ~= "{issuer}" then
    handle:respond({{[":status"] = "403"}}, "")
  end
end
"""
"""Envoy says of no resumed session that the peer's certificate was validated."""


class RemovedRootsLookedForInHandshakes:
    """TLS goes on with every root there ever was; a peer that shows a certificate under a removed one is refused later.

    Nobody shows one to resume a session, and tickets stay good as long as their key does.
    """

    def __init__(self) -> None:
        self._known: dict[str, None] = {}

    def __call__(self, _workload: str, resources: Resources) -> None:
        roots = parts.secret(resources, "roots")["validation_context"]["trusted_ca"]
        announced = roots["inline_string"].removesuffix(END).split(END)
        self._known |= dict.fromkeys(announced)
        roots["inline_string"] = "".join(f"{one}{END}" for one in self._known)
        for context in parts.server_contexts(resources):
            context["session_ticket_keys"] = {"keys": [{"inline_bytes": TICKET_KEY}]}
        if len(announced) < len(self._known):
            issuer = x509.load_pem_x509_certificates(parts.chain_of(resources)["inline_string"].encode())[1]
            script = OTHER_ISSUERS_REFUSED.format(issuer=issuer.subject.rfc4514_string())
            parts.script(script, *parts.inbound(resources))


DEFECTS = {
    "sessions-outlive-roots": Defect(
        "A server resumes the session of a peer whose root has been removed meanwhile.",
        (f"{RESUMPTION}[root-removed]",),
        RemovedRootsLookedForInHandshakes(),
    ),
}
