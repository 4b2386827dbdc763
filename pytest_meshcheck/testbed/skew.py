"""Surveys of a mesh whose data planes are of two versions: how it decides about calls between each of them."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pytest_meshcheck.model.capability import Capability
from pytest_meshcheck.model.policy import Mode, MutualTls, Policy
from pytest_meshcheck.model.workload import Workload
from pytest_meshcheck.model.workload_spec import Placement, WorkloadSpec
from pytest_meshcheck.probe.protocol.messages import Answer
from pytest_meshcheck.testbed.decisions import DataPlaneVersion, Decision, Pairing, UnusualCall
from pytest_meshcheck.testbed.mesh import MeshUnderTest

PORTS = ("http", "grpc", "tcp")

UNUSUAL: Mapping[str, tuple[Answer, Mapping[str, Any]]] = {
    # description: scripted answer, fields of the request
    "204": (Answer(status=204), {}),
    "304": (Answer(status=304), {}),
    "103 and 200": (Answer(informational=(103,)), {}),
    "200 to HEAD": (Answer(), {"method": "HEAD"}),
}
"""Answers over HTTP/1.1 at which data planes of two versions stumbled: https://github.com/istio/istio/issues/29427"""


@dataclass
class Skew:
    """The versions of data planes during an upgrade, and the decisions of the mesh so far.

    Each wave of the upgrade has a client and a server, so that all four pairings meet between the waves.

    Attributes:
        mesh: The mesh.
        clients: The clients of a survey.
        servers: Its servers, which no load of the upgrade is on: their connections may be limited to one request.
        outsider: A client outside the mesh; None if strict mutual TLS is not claimed.
        decisions: In the order of the calls.
    """

    mesh: MeshUnderTest
    clients: Sequence[Workload]
    servers: Sequence[Workload]
    outsider: Workload | None
    decisions: list[Decision] = field(default_factory=list)
    _new: set[str] = field(default_factory=set)

    @property
    def policies(self) -> list[Policy]:
        """The policies of the surveys.

        Without a limit, a data plane that is replaced below its workload could answer on connections of its
        predecessor, and a survey would meet the wrong version.
        """
        kept = self.mesh.adapter.data_plane_in_workload
        fresh = [] if kept else [policy for one in self.servers for policy in self.mesh.fresh_connections(one)]
        strict = [MutualTls(one, Mode.STRICT) for one in self.servers] if self.outsider else []
        return [*strict, *fresh]

    def moved(self, workloads: Iterable[Workload], version: DataPlaneVersion) -> None:
        """Note that these data planes are of this version now."""
        names = set(map(str, workloads))
        self._new = self._new | names if version is DataPlaneVersion.NEW else self._new - names

    async def survey(self, step: str) -> None:
        """Make a call for each pair of client and server over each port, and keep the decisions."""
        for server in self.servers:
            for port in PORTS:
                for client in self.clients:
                    self.decisions.append(await self._decision(step, client, server, port))
                if self.outsider is not None:
                    self.decisions.append(await self._decision(step, self.outsider, server, port))

    async def _decision(self, step: str, client: Workload, server: Workload, port: str) -> Decision:
        enrolled = client is not self.outsider
        exchange = await client.get(server, port)
        arrived = await server.attempts(exchange)
        return Decision(
            step=step,
            pairing=Pairing(self._version(client) if enrolled else None, self._version(server)),
            port=port,
            exchange=exchange,
            arrived=arrived,
            caller=self.mesh.identity_of(client) if enrolled else None,
            stated=self.mesh.peer_identity(arrived[-1]) if arrived else None,
            unusual=await _unusual(client, server) if enrolled and port == "http" else (),
        )

    def _version(self, workload: Workload) -> DataPlaneVersion:
        return DataPlaneVersion.NEW if str(workload) in self._new else DataPlaneVersion.OLD


async def _unusual(client: Workload, server: Workload) -> tuple[UnusualCall, ...]:
    """One call for each unusual answer."""
    calls = []
    for description, (answer, fields) in UNUSUAL.items():
        request_id = await server.answers(answer)
        exchange = await client.get(server, request_id=request_id, **fields)
        calls.append(UnusualCall(description, answer.status, exchange))
    return tuple(calls)


@asynccontextmanager
async def skew_of(mesh: MeshUnderTest) -> AsyncIterator[Skew]:
    """The surveys of a mesh that is about to be upgraded.

    Where the workloads of a node share a data plane, each of two nodes gets a client and a server for them.

    Raises:
        Inconclusive: A workload does not start.
    """
    outsider = await mesh.workload("outsider") if mesh.claims(Capability.STRICT_MTLS) else None
    if not mesh.adapter.data_plane_of_node:
        clients = [await mesh.workload(role) for role in ("client", "second_client")]
        servers = [await mesh.workload(role) for role in ("server_in_green", "client_in_green")]
        yield Skew(mesh, clients, servers, outsider)
        return
    near = (await mesh.workload("server")).spec
    specs = [
        WorkloadSpec("blue", f"{where}-{role}", placement=Placement(near, same_node=same))
        for role in ("caller", "called")
        for where, same in (("near", True), ("far", False))
    ]
    async with AsyncExitStack() as stack:
        near_caller, far_caller, near_called, far_called = [
            (await stack.enter_async_context(mesh.deploy(spec))).service for spec in specs
        ]
        yield Skew(mesh, [near_caller, far_caller], [near_called, far_called], outsider)
