"""The values of Cilium's chart.

https://docs.cilium.io/en/stable/helm-reference/
"""

from collections.abc import Mapping
from typing import Any

Values = Mapping[str, Any]

COMMON: Values = {
    "ipam": {"mode": "kubernetes"},
    # Cilium's own load balancing sends services through Envoy; that of kube-proxy would bypass it
    "kubeProxyReplacement": True,
    # without kube-proxy the service of the API server does not work: its address comes from kube-public/cluster-info
    "k8sServiceHost": "auto",
    "operator": {"replicas": 1},
    "hubble": {"enabled": False},
}

ROUTES: Values = {"gatewayAPI": {"enabled": True}}
"""HTTPRoutes; the definitions of the Gateway API must be installed first."""

WIREGUARD: Values = {"encryption": {"enabled": True, "type": "wireguard"}}
IPSEC: Values = {"encryption": {"enabled": True, "type": "ipsec"}}
ZTUNNEL: Values = {"encryption": {"enabled": True, "type": "ztunnel"}}
SPIRE: Values = {
    "authentication": {
        "enabled": True,
        "mutual": {
            "spire": {
                "enabled": True,
                # the data need not outlive the cluster, and a volume would need a storage class
                "install": {"enabled": True, "server": {"dataStorage": {"enabled": False}}},
            }
        },
    }
}

BELOW_A_MESH: Values = {
    # otherwise connections to a service are sent to a pod's address before the proxy in the pod sees them
    "socketLB": {"hostNamespaceOnly": True},
    # otherwise Cilium disables the configuration of other CNI plugins, including linkerd-cni
    "cni": {"exclusive": False},
}
"""The values that Linkerd needs: https://linkerd.io/2/reference/cluster-configuration/#cilium"""

ONE_BY_ONE: Values = {
    "updateStrategy": {"type": "OnDelete", "rollingUpdate": None},
    "envoy": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": None}},
}
"""Agents and proxies follow an upgrade when their pods are deleted."""

GATEWAY_API = {
    # minor version of Cilium: version of the Gateway API that it is built for
    "1.18": "v1.3.0",
    "1.19": "v1.4.1",
    "1.20": "v1.6.1",
}
"""https://docs.cilium.io/en/stable/network/servicemesh/gateway-api/gateway-api/#prerequisites"""
