"""The names that authors of checks and of tests of their own need, in one place."""

import importlib
from typing import TYPE_CHECKING

from pytest_meshcheck.checks.catalogue import check, needs, proves, slow
from pytest_meshcheck.checks.effective_values import effective_values
from pytest_meshcheck.checks.expect import control, converge, expect
from pytest_meshcheck.checks.intrusion import kept_out, kept_unreadable
from pytest_meshcheck.checks.own.access_hazards import one_way_access, plaintext_beside
from pytest_meshcheck.checks.own.chain_hazards import multiplied_retries
from pytest_meshcheck.checks.own.expected_access import ExpectedAccess
from pytest_meshcheck.checks.own.limit_hazards import (
    outlasted_limit,
    repeated_executions,
    unfired_retries,
    unlimited_retries,
)
from pytest_meshcheck.checks.own.traffic_hazards import injected_delay, injected_fault, mirrored_requests
from pytest_meshcheck.checks.verdict import Level, Time
from pytest_meshcheck.meshes.base import Rotation, TlsEndpoint
from pytest_meshcheck.meshes.documented import Default, Documented
from pytest_meshcheck.model.authority_files import Flaw, broken
from pytest_meshcheck.model.bundle_form import BundleForm
from pytest_meshcheck.model.capability import Capability
from pytest_meshcheck.model.deployment import Deployment
from pytest_meshcheck.model.errors import ClusterError, Inconclusive, Unsupported
from pytest_meshcheck.model.load import Load
from pytest_meshcheck.model.malformed import IssuedBy, Recipe
from pytest_meshcheck.model.observation import Attempt, CaptureResult, Ending, Exchange, LoadOutcome, Protocol
from pytest_meshcheck.model.pki import Issuer, Validity, is_signed_by, parsed_chain, spiffe_id
from pytest_meshcheck.model.policy import (
    EgressPolicy,
    Failure,
    FieldTimeout,
    Mode,
    MutualTls,
    Namespace,
    NetworkPolicy,
    RequestsPerConnection,
    RequireMutualTls,
    Retry,
    RetryBudget,
    ServerPolicy,
    ServicePolicy,
    Timeout,
    WholeMesh,
)
from pytest_meshcheck.model.workload import Workload, new_id
from pytest_meshcheck.model.workload_spec import Enrolment, FirstCall, Placement, Port, Via, WorkloadSpec
from pytest_meshcheck.probe.protocol.body import seeded_bytes
from pytest_meshcheck.probe.protocol.messages import (
    Answer,
    Behaviour,
    Body,
    ClientTls,
    Credentials,
    Property,
    ServerTls,
)
from pytest_meshcheck.testbed.arrivals import more_arrive, more_sent
from pytest_meshcheck.testbed.decisions import DataPlaneVersion
from pytest_meshcheck.testbed.disruptions import Outage
from pytest_meshcheck.testbed.early_calls import NotStarted
from pytest_meshcheck.testbed.mesh import MeshUnderTest
from pytest_meshcheck.testbed.network import admitted_by_network, host_of, insist_on_two_nodes, kubelet_of, labelled_as
from pytest_meshcheck.testbed.policy_watch import PolicyWatch, under_watch
from pytest_meshcheck.testbed.upgrade_outcome import Upgraded

if TYPE_CHECKING:
    from pytest_meshcheck.manifests.expectations.expected import Identity, Limit, Once
    from pytest_meshcheck.manifests.mutation.parts import Part
    from pytest_meshcheck.manifests.settings import Setting
    from pytest_meshcheck.testbed.mesh_cluster import MeshCluster
    from pytest_meshcheck.testbed.stand_in.handle import RunningStandIn
    from pytest_meshcheck.testbed.trial.mutation import Mutation
    from pytest_meshcheck.testbed.trial.trial import Trial

MUST, SHOULD, MAY = Level.MUST, Level.SHOULD, Level.MAY

__all__ = [
    "MAY",
    "MUST",
    "SHOULD",
    "Answer",
    "Attempt",
    "Behaviour",
    "Body",
    "BundleForm",
    "Capability",
    "CaptureResult",
    "ClientTls",
    "ClusterError",
    "Credentials",
    "DataPlaneVersion",
    "Default",
    "Deployment",
    "Documented",
    "EgressPolicy",
    "Ending",
    "Enrolment",
    "Exchange",
    "ExpectedAccess",
    "Failure",
    "FieldTimeout",
    "FirstCall",
    "Flaw",
    "Identity",
    "Inconclusive",
    "IssuedBy",
    "Issuer",
    "Limit",
    "Load",
    "LoadOutcome",
    "MeshCluster",
    "MeshUnderTest",
    "Mode",
    "Mutation",
    "MutualTls",
    "Namespace",
    "NetworkPolicy",
    "NotStarted",
    "Once",
    "Outage",
    "Part",
    "Placement",
    "PolicyWatch",
    "Port",
    "Property",
    "Protocol",
    "Recipe",
    "RequestsPerConnection",
    "RequireMutualTls",
    "Retry",
    "RetryBudget",
    "Rotation",
    "RunningStandIn",
    "ServerPolicy",
    "ServerTls",
    "ServicePolicy",
    "Setting",
    "Time",
    "Timeout",
    "TlsEndpoint",
    "Trial",
    "Unsupported",
    "Upgraded",
    "Validity",
    "Via",
    "WholeMesh",
    "Workload",
    "WorkloadSpec",
    "admitted_by_network",
    "broken",
    "check",
    "control",
    "converge",
    "effective_values",
    "expect",
    "host_of",
    "injected_delay",
    "injected_fault",
    "insist_on_two_nodes",
    "is_signed_by",
    "kept_out",
    "kept_unreadable",
    "kubelet_of",
    "labelled_as",
    "mirrored_requests",
    "more_arrive",
    "more_sent",
    "multiplied_retries",
    "needs",
    "new_id",
    "one_way_access",
    "outlasted_limit",
    "parsed_chain",
    "plaintext_beside",
    "proves",
    "repeated_executions",
    "seeded_bytes",
    "slow",
    "spiffe_id",
    "under_watch",
    "unfired_retries",
    "unlimited_retries",
]


ON_CLUSTER = {
    # name: its module, imported when it is first asked for, as checks do without clients of Kubernetes
    "Identity": "pytest_meshcheck.manifests.expectations.expected",
    "Limit": "pytest_meshcheck.manifests.expectations.expected",
    "Once": "pytest_meshcheck.manifests.expectations.expected",
    "Setting": "pytest_meshcheck.manifests.settings",
    "MeshCluster": "pytest_meshcheck.testbed.mesh_cluster",
    "RunningStandIn": "pytest_meshcheck.testbed.stand_in.handle",
    "Mutation": "pytest_meshcheck.testbed.trial.mutation",
    "Part": "pytest_meshcheck.manifests.mutation.parts",
    "spare_cluster": "pytest_meshcheck.testbed.spare_cluster",
    "Trial": "pytest_meshcheck.testbed.trial.trial",
}


def __getattr__(name: str) -> object:
    """The names of ``ON_CLUSTER``."""
    if name not in ON_CLUSTER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(ON_CLUSTER[name]), name)
