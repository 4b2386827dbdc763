"""TLS contexts of sidecars, and the secrets with their certificates."""

import re

from pytest_meshcheck.meshes.envoy.sidecar_config import SidecarConfig
from pytest_meshcheck.meshes.envoy.xds.resources import ADS, Resource, typed

IDENTITY = "identity"
ROOTS = "roots"

EXTENSION = "envoy.extensions.transport_sockets.tls.v3"
VERSIONS = {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"}


def _decision(action: str) -> Resource:
    decision = typed("envoy.config.rbac.v3.Action", name=action.lower(), action=action)
    return {"action": {"name": action.lower(), "typed_config": decision}}


LABEL = "[a-z0-9]([-a-z0-9.]*[a-z0-9])?"
"""A name as Kubernetes has it: nothing that an identity could be mistaken by, such as ``..``, ``*``, NUL or ``%``."""

SEVERAL_IDENTITIES_REFUSED: Resource = {
    "name": "envoy.filters.network.rbac",
    "typed_config": typed(
        "envoy.extensions.filters.network.rbac.v3.RBAC",
        stat_prefix="several_identities",
        matcher={
            "matcher_list": {
                "matchers": [
                    {
                        "predicate": {
                            "single_predicate": {
                                "input": {
                                    "name": "envoy.matching.inputs.uri_san",
                                    "typed_config": typed("envoy.extensions.matching.common_inputs.ssl.v3.UriSanInput"),
                                },
                                "value_match": {"contains": ","},
                            }
                        },
                        "on_match": _decision("DENY"),
                    }
                ]
            },
            "on_no_match": _decision("ALLOW"),
        },
    ),
}
"""Envoy is content if one of several SANs is right; here they are one text, with commas in between:
https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/matching/common_inputs/ssl/v3/ssl_inputs.proto"""


def downstream(trust_domain: str, alpn: tuple[str, ...]) -> Resource:
    """Require a certificate of any member of the trust domain.

    Clients may resume a session, in which nobody shows a certificate again. Sessions end when the roots change; Envoy
    does not end them when the peer's certificate expires.
    """
    member = f"spiffe://{re.escape(trust_domain)}/ns/{LABEL}/sa/{LABEL}"
    members = {"san_type": "URI", "matcher": {"safe_regex": {"regex": member}}}
    context = typed(
        f"{EXTENSION}.DownstreamTlsContext",
        common_tls_context=_common(members) | ({"alpn_protocols": list(alpn)} if alpn else {}),
        require_client_certificate=True,
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
