"""The observations made during an upgrade."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pytest_meshcheck.meshes.canary import UpgradeBy
from pytest_meshcheck.model.journal import Entry
from pytest_meshcheck.model.observation import CaptureResult, Exchange, LoadOutcome
from pytest_meshcheck.testbed.decisions import Decision


@dataclass
class NetworkUnderUpgrade:
    """Observations of the network; a field is None if the mesh does not claim the capability behind it.

    Attributes:
        listed: A load on another node of the one caller that a network policy lists.
        unlisted: A load of another caller on the same server.
        routed: A load on a service that has a route, so that a proxy of the node is in its path.
        captured: What could be read of the first load on the network between the nodes.
    """

    listed: LoadOutcome | None = None
    unlisted: LoadOutcome | None = None
    routed: LoadOutcome | None = None
    captured: CaptureResult | None = None


@dataclass(frozen=True)
class Upgraded:
    """The observations made during an upgrade.

    Attributes:
        before: The old version.
        after: The new version.
        by: The upgrade strategy.
        seconds: From the first change until every data plane had followed and settled.
        control_plane: By port, the load of an enrolled client on an enrolled server while the control plane moved.
        data_planes: The same while data planes followed, one by one.
        intrusion: The plaintext load from outside the mesh on that server; None if strict mutual TLS is not claimed.
        stream: An echo on a TCP stream that was opened before the control plane was replaced, sent before data planes
            are, which ends their streams.
        begun: Its start, by the clock of ``probe.process.pulse``.
        caller: The caller's identity as the mesh states it to the server, in a request after the upgrade.
        journal: Its steps, restarts and exchanges, among them handshakes that show the server's leaf before and after
            each part.
        decisions: What became of calls at each step, in order.
        network: What the network of the nodes did meanwhile, if the mesh is that network.
    """

    before: str
    after: str
    by: UpgradeBy
    seconds: float
    control_plane: Mapping[str, LoadOutcome]
    data_planes: Mapping[str, LoadOutcome]
    intrusion: LoadOutcome | None
    stream: Exchange
    begun: float
    caller: str | None
    journal: Sequence[Entry] = ()
    decisions: Sequence[Decision] = ()
    network: NetworkUnderUpgrade = field(default_factory=NetworkUnderUpgrade)

    @property
    def loads(self) -> Mapping[str, LoadOutcome]:
        """The loads of the enrolled client, by the part that was upgraded meanwhile and port."""
        parts = {"control plane": self.control_plane, "data planes": self.data_planes}
        return {f"{part}, {port}": load for part, loads in parts.items() for port, load in loads.items()}

    def calls(self, port: str) -> list[Decision]:
        """The decisions about calls of enrolled clients to a port."""
        return [one for one in self.decisions if one.port == port and one.pairing.client]

    def intrusions(self, port: str) -> list[Decision]:
        """The decisions about calls to a port from outside the mesh."""
        return [one for one in self.decisions if one.port == port and one.pairing.client is None]
