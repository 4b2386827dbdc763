"""The names that a suite author needs, in one place."""

import pytest

pytest.register_assert_rewrite("pytest_meshcheck.judge.expect")

from pytest_meshcheck.judge.catalogue import check  # noqa: E402 - after the rewriting is asked for
from pytest_meshcheck.judge.expect import control, converge, expect  # noqa: E402
from pytest_meshcheck.judge.subject import MeshUnderTest  # noqa: E402
from pytest_meshcheck.judge.verdict import Level  # noqa: E402
from pytest_meshcheck.meshes.base import Default, Documented, Rotation, TlsEndpoint  # noqa: E402
from pytest_meshcheck.probe.body import octets  # noqa: E402
from pytest_meshcheck.probe.messages import (  # noqa: E402
    Answer,
    Behaviour,
    Body,
    ClientTls,
    Credentials,
    ServerTls,
)
from pytest_meshcheck.stage.capability import Capability  # noqa: E402
from pytest_meshcheck.stage.faults import Inconclusive, Unsupported  # noqa: E402
from pytest_meshcheck.stage.observation import Attempt, Ending, Exchange, LoadOutcome, Protocol  # noqa: E402
from pytest_meshcheck.stage.pki import Issuer, Validity, parsed_chain, spiffe_id  # noqa: E402
from pytest_meshcheck.stage.policy import (  # noqa: E402
    Failure,
    Mode,
    MutualTls,
    Namespace,
    RequestsPerConnection,
    Retry,
    Timeout,
    WholeMesh,
)
from pytest_meshcheck.stage.workload import Port, Via, Workload  # noqa: E402

MUST, SHOULD, MAY = Level.MUST, Level.SHOULD, Level.MAY

__all__ = [
    "MAY",
    "MUST",
    "SHOULD",
    "Answer",
    "Attempt",
    "Behaviour",
    "Body",
    "Capability",
    "ClientTls",
    "Credentials",
    "Default",
    "Documented",
    "Ending",
    "Exchange",
    "Failure",
    "Inconclusive",
    "Issuer",
    "LoadOutcome",
    "MeshUnderTest",
    "Mode",
    "MutualTls",
    "Namespace",
    "Port",
    "Protocol",
    "RequestsPerConnection",
    "Retry",
    "Rotation",
    "ServerTls",
    "Timeout",
    "TlsEndpoint",
    "Unsupported",
    "Validity",
    "Via",
    "WholeMesh",
    "Workload",
    "check",
    "control",
    "converge",
    "expect",
    "octets",
    "parsed_chain",
    "spiffe_id",
]
