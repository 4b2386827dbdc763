"""What is seen while a mesh is moved to another version."""

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_meshcheck.meshes.canary import UpgradeBy
from pytest_meshcheck.model.observation import Exchange, LoadOutcome


@dataclass(frozen=True)
class Upgraded:
    """What was seen while a mesh was moved to another version.

    Attributes:
        before: The version that it was moved from.
        after: The version that it was moved to.
        by: How it was moved.
        seconds: From the first change until every data plane had followed and settled.
        loads: By port, the load of an enrolled client on an enrolled server.
        intrusion: The load of an outsider on that server; None where the mesh claims no strict mutual TLS.
        stream: An echo on a stream of TCP that was opened before, when the control plane was another; a workload that
            is restarted takes its streams with it.
        begun: When it began, by the clock of ``probe.pulse``.
        caller: The caller's identity as the server was told it of a request after the upgrade.
    """

    before: str
    after: str
    by: UpgradeBy
    seconds: float
    loads: Mapping[str, LoadOutcome]
    intrusion: LoadOutcome | None
    stream: Exchange
    begun: float
    caller: str | None
