"""Clusters that get something wrong which the embedded mesh does not have: a network, and nodes.

``tests/e2e`` runs the suite on each of them, given the clusters.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NETWORK_POLICIES = (
    "network/allow-by-identity-and-port",
    "network/claimed-namespace-is-not-believed",
    "network/decision-follows-labels",
    "network/decision-holds-under-churn",
    "network/default-deny",
    "network/egress-by-identity-and-port",
    "network/egress-is-denied-by-default",
    "network/holds-from-the-first-packet",
    "network/labels-cannot-be-forged",
    "network/other-nodes-are-refused",
    "network/policy-holds-while-data-plane-restarts",
    "network/policy-holds-while-node-restarts",
    "network/removed-caller-is-refused",
    "network/same-decision-on-every-path",
)
NODE_ENCRYPTION = (
    "network/session-keys-change-under-load",
    "network/unreadable-between-nodes",
    "network/unreadable-between-nodes-while-data-plane-restarts",
    "network/unreadable-between-nodes-while-node-restarts",
    "network/unreadable-between-nodes-while-terminating",
    "network/unreadable-between-nodes-with-routing",
)

AUTHENTICATION = ("network/deregistered-callers-are-dropped", "network/unauthenticated-callers-are-dropped")
UPGRADED_POLICIES = ("network/policy-holds-while-upgraded",)
UPGRADED_ENCRYPTION = ("network/unreadable-between-nodes-while-upgraded",)
NODES = ("mtls/no-plaintext-after-node-restart", "mtls/plaintext-from-nodes-is-refused")
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
        plugin: The module that registers the mesh; empty if it is one of ours.
        values: Values for Cilium's chart, in addition to those of the suite.
        upgraded_from: The version that the mesh is upgraded from under load; empty without an upgrade.
    """

    description: str
    kills: tuple[str, ...]
    mesh: str = "cilium"
    plugin: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    upgraded_from: str = ""


WRONG_CLUSTERS: Mapping[str, WrongCluster] = {
    "nothing-at-all": WrongCluster(
        "A cluster without a mesh, whose network enforces nothing and encrypts nothing.",
        tuple(check for check in (*NETWORK_POLICIES, *NODE_ENCRYPTION, *NODES) if check not in OF_A_DATA_PLANE),
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
    "upgrade-without-enforcement": WrongCluster(
        "Network policies are stored but not enforced, while the mesh is upgraded.",
        UPGRADED_POLICIES,
        values={"policyEnforcementMode": "never"},
        upgraded_from="1.19.5",
    ),
    "upgrade-without-encryption": WrongCluster(
        "The network does not encrypt traffic between nodes, while the mesh is upgraded.",
        UPGRADED_ENCRYPTION,
        values={"encryption": {"enabled": False}},
        upgraded_from="1.19.5",
    ),
    "authentication-off": WrongCluster(
        "Network policies do not ask for the authentication of callers.",
        AUTHENTICATION,
        mesh="cilium-unauthenticated",
        plugin="tests.e2e.unauthenticated",
    ),
    "left-behind": WrongCluster(
        "The mesh leaves cluster-wide resources, namespaced resources and files on nodes behind when uninstalled.",
        UNINSTALLATION,
        mesh="left-behind",
    ),
}

OF_UPGRADES = (*UPGRADED_POLICIES, *UPGRADED_ENCRYPTION, "network/routed-requests-while-upgraded-are-recorded")
"""Checks of a network that is upgraded; the last one records."""

RECORDS = (
    "mtls/network-policy-still-holds",
    "network/clear-by-design-is-recorded",
    "network/new-endpoint-is-recorded",
    "network/routed-requests-while-upgraded-are-recorded",
)
"""Checks that record what a cluster alone shows."""

ON_CLUSTERS = (
    *NETWORK_POLICIES,
    *NODE_ENCRYPTION,
    *AUTHENTICATION,
    *UPGRADED_POLICIES,
    *UPGRADED_ENCRYPTION,
    *NODES,
    *UNINSTALLATION,
)
"""Checks that need a cluster to fail on."""
