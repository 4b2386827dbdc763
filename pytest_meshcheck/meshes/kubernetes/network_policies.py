"""Network policies as resources of Kubernetes, which the network of a cluster enforces if it can; pure.

https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from collections.abc import Sequence

from pytest_meshcheck.model.capability import Capability, Claim
from pytest_meshcheck.model.errors import Unsupported
from pytest_meshcheck.model.policy import EgressPolicy, Named, Namespace, NetworkPolicy, WholeMesh
from pytest_meshcheck.model.workload import spec_of
from pytest_meshcheck.model.workload_spec import WorkloadSpec
from pytest_meshcheck.platforms.base import Manifest
from pytest_meshcheck.platforms.kubernetes.workloads.manifests import KNOWN_AS
from pytest_meshcheck.platforms.kubernetes.workloads.ports import port_number

NAMESPACE = "kubernetes.io/metadata.name"
"""The label that Kubernetes sets on every namespace: its name. It cannot be changed."""

DNS: Manifest = {
    "to": [{"namespaceSelector": {"matchLabels": {NAMESPACE: "kube-system"}}}],
    "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")],
}

LEFT_TO_THE_NETWORK = dict.fromkeys(
    (Capability.NETWORK_POLICY, Capability.NODE_ENCRYPTION, Capability.MUTUAL_AUTHENTICATION),
    Claim(
        False,
        "https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/network-plugins/",
        "that is for the network of the cluster, which is not part of this mesh",
    ),
)
"""The claims of a mesh that runs on whatever network a cluster has."""


def network_policy(policy: NetworkPolicy, extra_ports: Sequence[int] = ()) -> Manifest:
    """A NetworkPolicy for incoming connections to the ports of the policy, and to the extra port numbers.

    Raises:
        Unsupported: It covers a whole namespace or mesh, while the ports of callers are those of one workload.
    """
    if isinstance(policy.target, Namespace | WholeMesh):
        raise Unsupported("a network policy of the suite covers one workload, whose ports it names")
    target = spec_of(policy.target)
    ports = [*_ports(target, policy.ports), *({"protocol": "TCP", "port": number} for number in extra_ports)]
    rule = {"from": [_peer(caller) for caller in policy.callers], "ports": ports}
    return _manifest(target.name, target, "ingress", [rule] if policy.callers and policy.ports else [])


def egress_policy(policy: EgressPolicy) -> Manifest:
    """A NetworkPolicy for outgoing connections; those to the cluster's DNS are always allowed.

    The ports are those of the first server.
    """
    target, allowed = spec_of(policy.target), [DNS]
    if policy.servers and policy.ports:
        ports = _ports(spec_of(policy.servers[0]), policy.ports)
        allowed.append({"to": [_peer(server) for server in policy.servers], "ports": ports})
    return _manifest(f"{target.name}-egress", target, "egress", allowed)


def _manifest(name: str, target: WorkloadSpec, direction: str, rules: Sequence[Manifest]) -> Manifest:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"meshcheck-{name}", "namespace": target.namespace},
        "spec": {
            "podSelector": {"matchLabels": {KNOWN_AS: target.name}},
            "policyTypes": [direction.capitalize()],
            direction: list(rules),
        },
    }


def _ports(server: WorkloadSpec, names: Sequence[str]) -> list[Manifest]:
    return [{"protocol": "TCP", "port": port_number(server, name)} for name in names]


def _peer(workload: Named) -> Manifest:
    return {
        "namespaceSelector": {"matchLabels": {NAMESPACE: workload.namespace}},
        "podSelector": {"matchLabels": {KNOWN_AS: workload.name}},
    }
