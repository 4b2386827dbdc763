"""TLS contexts of sidecars, and the secrets with their certificates."""

from pytest_meshcheck.meshes.envoy.sidecar_config import SidecarConfig
from pytest_meshcheck.meshes.envoy.xds.resources import ADS, Resource, typed

IDENTITY = "identity"
ROOTS = "roots"

EXTENSION = "envoy.extensions.transport_sockets.tls.v3"
VERSIONS = {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"}


def downstream(trust_domain: str, alpn: tuple[str, ...]) -> Resource:
    """Require a certificate of any member of the trust domain; no session resumption, so every handshake verifies."""
    members = {"san_type": "URI", "matcher": {"prefix": f"spiffe://{trust_domain}/"}}
    context = typed(
        f"{EXTENSION}.DownstreamTlsContext",
        common_tls_context=_common(members) | ({"alpn_protocols": list(alpn)} if alpn else {}),
        require_client_certificate=True,
        disable_stateless_session_resumption=True,
        disable_stateful_session_resumption=True,
    )
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def upstream(identity: str, server_name: str) -> Resource:
    """Present the workload's certificate, and accept only one identity."""
    context = typed(
        f"{EXTENSION}.UpstreamTlsContext",
        common_tls_context=_common({"san_type": "URI", "matcher": {"exact": identity}}),
        sni=server_name,
        max_session_keys=0,
    )
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def secrets(config: SidecarConfig) -> list[Resource]:
    """The secrets: the workload's certificate with its key, and the announced roots."""
    certificate = {
        "certificate_chain": {"inline_string": config.credentials.chain.decode()},
        "private_key": {"inline_string": config.credentials.key.decode()},
    }
    return [
        {"name": IDENTITY, "tls_certificate": certificate},
        {"name": ROOTS, "validation_context": {"trusted_ca": {"inline_string": config.roots.decode()}}},
    ]


def _common(names: Resource) -> Resource:
    return {
        "tls_params": dict(VERSIONS),
        "tls_certificate_sds_secret_configs": [_secret(IDENTITY)],
        "combined_validation_context": {
            "default_validation_context": {"match_typed_subject_alt_names": [names]},
            "validation_context_sds_secret_config": _secret(ROOTS),
        },
    }


def _secret(name: str) -> Resource:
    return {"name": name, "sds_config": ADS}
