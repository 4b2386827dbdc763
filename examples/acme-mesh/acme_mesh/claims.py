"""The claims of acme, and the behaviour that its documentation promises."""

from collections.abc import Mapping

from pytest_meshcheck.meshes.documented import Documented, MtlsPromises, RetryPromises, RotationPromises
from pytest_meshcheck.model.capability import Capability, Claim
from pytest_meshcheck.model.observation import Ending
from pytest_meshcheck.model.policy import Failure

DOCS = "https://docs.acme.example/1.0"
PEERING = f"{DOCS}/peering"
TRAFFIC = f"{DOCS}/traffic"
CERTIFICATES = f"{DOCS}/certificates"

SUPPORTED: Mapping[Capability, str] = {
    Capability.MTLS: PEERING,
    Capability.STRICT_MTLS: PEERING,
    Capability.PERMISSIVE_MTLS: PEERING,
    Capability.PERMISSIVE_SERVER_FIRST: PEERING,
    Capability.CONFIDENTIALITY: PEERING,
    Capability.SERVER_IDENTITY: PEERING,
    Capability.PEER_IDENTITY: f"{PEERING}#who-calls",
    Capability.SPIFFE: CERTIFICATES,
    Capability.RETRY: TRAFFIC,
    Capability.RETRY_GRPC: TRAFFIC,
    Capability.PER_TRY_TIMEOUT: TRAFFIC,
    Capability.TIMEOUT: TRAFFIC,
    Capability.TIMEOUT_GRPC: TRAFFIC,
    Capability.CUSTOM_AUTHORITY: f"{CERTIFICATES}#bring-your-own",
    Capability.CONNECTION_REUSE: TRAFFIC,
    Capability.LEAF_ROTATION: CERTIFICATES,
    Capability.ISSUER_ROTATION: CERTIFICATES,
    Capability.ROOT_ROTATION: CERTIFICATES,
    Capability.CA_OUTAGE: CERTIFICATES,
}

CLAIMS: Mapping[Capability, Claim] = {capability: Claim(True, source) for capability, source in SUPPORTED.items()} | {
    Capability.PORT_LEVEL_MTLS: Claim(False, f"{PEERING}#limits", "an AcmePeering is about whole workloads"),
    Capability.REQUIRED_MTLS: Claim(False, PEERING, "an AcmePeering is about the callers of a workload"),
    Capability.RETRY_BUDGET: Claim(False, TRAFFIC, "AcmeTraffic bounds the attempts of one request only"),
    Capability.CONTROL_PLANE_OUTAGE: Claim(False, DOCS, "acme has no program of its own that could be stopped"),
    Capability.PROXY_RESTART: Claim(False, DOCS, "a data plane lives as long as its workload"),
    Capability.PROXY_REPLACEMENT: Claim(False, DOCS, "a data plane lives as long as its workload"),
    Capability.UPGRADE: Claim(False, DOCS, "there is one version of acme"),
    Capability.KUBERNETES: Claim(False, DOCS, "acme runs as local processes"),
}

RETRIABLE = (429, 500, 502, 503, 504)

DOCUMENTED = Documented(
    mtls=MtlsPromises(
        plaintext_refused_as=frozenset({Ending.RESET, Ending.CLOSED}),
        peer_refused_as=frozenset({Ending.ALERT, Ending.RESET, Ending.CLOSED}),
        sources={"plaintext_refused_as": f"{PEERING}#refusals", "peer_refused_as": f"{PEERING}#refusals"},
    ),
    retry=RetryPromises(
        statuses=RETRIABLE,
        failures=frozenset(Failure) - {Failure.STATUS},
        status_in_trailers=False,
        body_limit=1024 * 1024,
        sources={
            "statuses": f"{TRAFFIC}#again-on",
            "failures": f"{TRAFFIC}#again-on",
            "status_in_trailers": f"{TRAFFIC}#again-on",
            "default_attempts": f"{TRAFFIC}#defaults",
            "body_limit": f"{TRAFFIC}#limits",
        },
    ),
    rotation=RotationPromises(
        leaf_lifetime=3.0,
        leaf_renewed_within=2.0,
        issuer_acts_within=1.0,
        roots_act_within=1.0,
        sources={
            "leaf_lifetime": CERTIFICATES,
            "leaf_renewed_within": CERTIFICATES,
            "issuer_acts_within": CERTIFICATES,
            "roots_act_within": CERTIFICATES,
        },
    ),
)
