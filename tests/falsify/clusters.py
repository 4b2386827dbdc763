"""Clusters that get something wrong which the embedded mesh does not have: a network, and nodes.

``tests/e2e`` runs the suite on each of them, given the clusters.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NETWORK_POLICIES = (
    "network/allow-by-identity-and-port",
    "network/decision-follows-labels",
    "network/default-deny",
    "network/egress-by-identity-and-port",
    "network/egress-is-denied-by-default",
    "network/holds-from-the-first-packet",
    "network/labels-cannot-be-forged",
    "network/other-nodes-are-refused",
    "network/policy-holds-while-data-plane-restarts",
    "network/same-decision-on-every-path",
)
NODE_ENCRYPTION = (
    "network/unreadable-between-nodes",
    "network/unreadable-between-nodes-while-data-plane-restarts",
    "network/unreadable-between-nodes-while-terminating",
    "network/unreadable-between-nodes-with-routing",
)

NODE_RESTART = ("mtls/no-plaintext-after-node-restart",)
UNINSTALLATION = ("lifecycle/uninstall-leaves-nothing",)
NETWORK = "network"
"""The family all of whose checks need a cluster to fail on."""

OF_A_DATA_PLANE = (
    "network/policy-holds-while-data-plane-restarts",
    "network/unreadable-between-nodes-while-data-plane-restarts",
    "network/unreadable-between-nodes-with-routing",
)
"""Checks that need a data plane that routes, or that can be killed."""


@dataclass(frozen=True)
class WrongCluster:
    """A cluster on which checks have to fail.

    Attributes:
        description: What it does wrong.
        kills: The checks that have to find it.
        mesh: The mesh on it.
        values: Values for Cilium's chart, in addition to those of the suite.
    """

    description: str
    kills: tuple[str, ...]
    mesh: str = "cilium"
    values: Mapping[str, Any] = field(default_factory=dict)


WRONG_CLUSTERS: Mapping[str, WrongCluster] = {
    "nothing-at-all": WrongCluster(
        "A cluster without a mesh, whose network enforces nothing and encrypts nothing.",
        tuple(check for check in (*NETWORK_POLICIES, *NODE_ENCRYPTION, *NODE_RESTART) if check not in OF_A_DATA_PLANE),
        mesh="none",
    ),
    "policies-without-enforcement": WrongCluster(
        "Network policies are stored but not enforced.",
        NETWORK_POLICIES,
        values={"policyEnforcementMode": "never"},
    ),
    "encryption-off": WrongCluster(
        "The network does not encrypt traffic between nodes.",
        NODE_ENCRYPTION,
        values={"encryption": {"enabled": False}},
    ),
    "left-behind": WrongCluster(
        "The mesh leaves cluster-wide resources, namespaced resources and files on nodes behind when uninstalled.",
        UNINSTALLATION,
        mesh="left-behind",
    ),
}

ON_CLUSTERS = (*NETWORK_POLICIES, *NODE_ENCRYPTION, *NODE_RESTART, *UNINSTALLATION)
"""Checks that need a cluster to fail on."""
