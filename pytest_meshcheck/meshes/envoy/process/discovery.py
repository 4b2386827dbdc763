"""The control plane's end of xDS: one aggregated stream per sidecar process, over a Unix socket.

It is the incremental variant of the protocol: only changes are sent, and Envoy acknowledges or rejects each response
(https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#incremental-xds).
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import grpc
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource as Delivery
from grpc import aio

from pytest_meshcheck.meshes.envoy.xds.configuration import Configuration
from pytest_meshcheck.meshes.envoy.xds.resources import TYPES, Resources
from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.redaction import redacted

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
METHOD = "DeltaAggregatedResources"

ORDER = ("secrets", "filters", "clusters", "endpoints", "routes", "listeners")
"""The order of sending: a resource before those that refer to it. A cluster is complete only with its endpoints."""

SUBSCRIBED_AS_A_WHOLE = ("clusters", "listeners")
"""The kinds that a sidecar subscribes to as a whole; of other kinds it names those that these refer to."""

KINDS = {url: kind for kind, url in TYPES.items()}
ABSENT, REMOVED = "", "removed"
"""Versions that no resource has: of a resource that a sidecar waits for, and of a removed one."""

MOST_NAMED = 3
"""The number of resources that a message names; the rest is counted."""


@dataclass(frozen=True)
class Sent:
    """A response that Envoy has not answered yet.

    Attributes:
        kind: The kind of its resources.
        names: The names of its resources, including removed ones.
    """

    kind: str
    names: tuple[str, ...]

    def overlaps(self, other: "Sent") -> bool:
        """Whether the two share a resource."""
        return self.kind == other.kind and not set(self.names).isdisjoint(other.names)

    def __str__(self) -> str:
        if len(self.names) <= MOST_NAMED:
            return f"{self.kind} {', '.join(self.names)}".strip()
        return f"{self.kind} {', '.join(self.names[:MOST_NAMED])} and {len(self.names) - MOST_NAMED} more"


class DiscoveryStream:
    """The stream to one sidecar process: its responses, and Envoy's answers.

    Attributes:
        pending: The unanswered responses by nonce.
        rejected: Envoy's reason for each rejected response, until one of its resources is sent again.
    """

    def __init__(self, configuration: Configuration, answered: Callable[[], None]) -> None:
        """``answered`` is called whenever Envoy has answered or asked for something."""
        self.pending: dict[str, Sent] = {}
        self.rejected: dict[Sent, str] = {}
        self._configuration = configuration
        self._answered = answered
        self._versions: dict[str, dict[str, str]] = {}
        self._outbox: asyncio.Queue[DeltaDiscoveryResponse] = asyncio.Queue()
        self._count = 0

    @property
    def complete(self) -> bool:
        """Whether Envoy has requested everything, and answered every response.

        Envoy requests what a resource refers to before it acknowledges that resource.
        """
        return not self.pending and all(kind in self._versions for kind in SUBSCRIBED_AS_A_WHOLE)

    async def responses(self) -> AsyncIterator[DeltaDiscoveryResponse]:
        """The responses, as they become due."""
        while True:
            yield await self._outbox.get()

    async def listen(self, requests: AsyncIterable[DeltaDiscoveryRequest]) -> None:
        """Process the messages of Envoy until the stream ends."""
        async for request in requests:
            self.take(request)

    def take(self, request: DeltaDiscoveryRequest) -> None:
        """Process a subscription, an acknowledgement or a rejection."""
        kind = KINDS[request.type_url]
        versions = self._versions.setdefault(kind, dict(request.initial_resource_versions))
        for name in request.resource_names_unsubscribe:
            versions.pop(name, None)
        versions |= dict.fromkeys(request.resource_names_subscribe, ABSENT)
        sent = self.pending.pop(request.response_nonce, None)
        if sent is not None and request.HasField("error_detail"):
            self.rejected[sent] = redacted(request.error_detail.message)
        self._send(kind)
        self._answered()

    def publish(self) -> None:
        """Send the changes of those resources that Envoy has subscribed to."""
        for kind in ORDER:
            if kind in self._versions:
                self._send(kind)

    def _send(self, kind: str) -> None:
        has, newest = self._versions[kind], self._configuration.of(kind)
        wanted = newest if kind in SUBSCRIBED_AS_A_WHOLE else [name for name in has if name in newest]
        changed = [name for name in wanted if has.get(name) != newest[name].version]
        removed = [name for name, version in has.items() if name not in newest and version != REMOVED]
        if not changed and not removed:
            return
        has |= {name: newest[name].version for name in changed} | dict.fromkeys(removed, REMOVED)
        if kind == "clusters":
            self._expect_endpoints_of(changed)
        self._count += 1
        sent = Sent(kind, (*changed, *removed))
        self.pending[str(self._count)] = sent
        self.rejected = {before: why for before, why in self.rejected.items() if not before.overlaps(sent)}
        self._outbox.put_nowait(
            DeltaDiscoveryResponse(
                type_url=TYPES[kind],
                nonce=str(self._count),
                resources=[
                    Delivery(name=name, version=newest[name].version, resource=newest[name].message) for name in changed
                ],
                removed_resources=removed,
            )
        )

    def _expect_endpoints_of(self, clusters: list[str]) -> None:
        """Send the endpoints again: Envoy treats a changed cluster as a new one without endpoints."""
        has = self._versions.get("endpoints", {})
        has |= dict.fromkeys((name for name in clusters if name in has), ABSENT)


class Subscriber:
    """A sidecar from the server's point of view: its configuration, and the streams of its processes.

    Attributes:
        configuration: The configuration to run.
        streams: The newest stream of each process, by node id; several only during a hot restart.
    """

    def __init__(self) -> None:
        self.configuration = Configuration()
        self.streams: dict[str, DiscoveryStream] = {}
        self.progress = asyncio.Event()
        """Set whenever a process has answered, subscribed or gone."""

    def publish(self, resources: Resources) -> None:
        """Send every process its changes."""
        self.configuration.replace(resources)
        for stream in self.streams.values():
            stream.publish()


class DiscoveryServer:
    """Serves the configurations of all sidecars of a mesh."""

    def __init__(self, socket: Path, subscriber: Callable[[str], Subscriber | None]) -> None:
        """``subscriber`` finds a sidecar by its node id."""
        self._socket = socket
        self._subscriber = subscriber
        self._server: aio.Server | None = None

    def check(self) -> None:
        """Raise Inconclusive if it is stopped, so that no sidecar gets its configuration."""
        if self._server is None:
            raise Inconclusive("the control plane is out of service: no sidecar gets its configuration")

    async def start(self) -> None:
        """Listen on the socket."""
        self._server = aio.server()
        method = grpc.stream_stream_rpc_method_handler(
            self._stream,
            request_deserializer=DeltaDiscoveryRequest.FromString,
            response_serializer=DeltaDiscoveryResponse.SerializeToString,
        )
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: method}),))
        self._server.add_insecure_port(f"unix:{quote(str(self._socket))}")
        await self._server.start()

    async def stop(self) -> None:
        """End every stream, and listen no more."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop(None)

    async def _stream(
        self,
        requests: AsyncIterator[DeltaDiscoveryRequest],
        context: "aio.ServicerContext[DeltaDiscoveryRequest, DeltaDiscoveryResponse]",
    ) -> AsyncIterator[DeltaDiscoveryResponse]:
        first = await anext(requests)
        node, subscriber = first.node.id, self._subscriber(first.node.id)
        if subscriber is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no sidecar is named {node}")
            return
        stream = DiscoveryStream(subscriber.configuration, subscriber.progress.set)
        subscriber.streams[node] = stream
        stream.take(first)
        listening = asyncio.create_task(stream.listen(requests))
        try:
            async for response in stream.responses():
                yield response
        finally:
            listening.cancel()
            if subscriber.streams.get(node) is stream:
                del subscriber.streams[node]
