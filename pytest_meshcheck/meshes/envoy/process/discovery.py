"""The control plane's end of xDS: one aggregated stream per sidecar process, over a Unix socket.

The incremental variant of the protocol is spoken: only what has changed is sent, and Envoy acknowledges or rejects each
response (https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#incremental-xds).
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
from pytest_meshcheck.model.redaction import redacted

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
METHOD = "DeltaAggregatedResources"

ORDER = ("secrets", "clusters", "endpoints", "routes", "listeners")
"""A resource comes before those that refer to it; endpoints follow their cluster, which is only complete with them."""

SUBSCRIBED_AS_A_WHOLE = ("clusters", "listeners")
"""Kinds that a sidecar asks for without naming any; of the others it names those that these refer to."""

KINDS = {url: kind for kind, url in TYPES.items()}
ABSENT, REMOVED = "", "removed"
"""Versions that no resource has: of one that a sidecar waits for, and of one that it knows to be gone."""

MOST_NAMED = 3
"""Resources that a message names; of more it gives the number."""


@dataclass(frozen=True)
class Sent:
    """A response that is not answered yet.

    Attributes:
        kind: Of which kind of resource.
        names: The resources in it, also those that were removed.
    """

    kind: str
    names: tuple[str, ...]

    def overlaps(self, other: "Sent") -> bool:
        """Whether the two have a resource in common."""
        return self.kind == other.kind and not set(self.names).isdisjoint(other.names)

    def __str__(self) -> str:
        if len(self.names) <= MOST_NAMED:
            return f"{self.kind} {', '.join(self.names)}".strip()
        return f"{self.kind} {', '.join(self.names[:MOST_NAMED])} and {len(self.names) - MOST_NAMED} more"


class Stream:
    """What one sidecar process has been sent, and how it answered.

    Attributes:
        pending: By nonce, the responses that it has not answered.
        rejected: Envoy's reason for each response that it rejected, until one of its resources is sent again.
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
        """Whether Envoy has asked for everything, and has decided on all that it was sent.

        It asks for what a resource refers to before it acknowledges that resource.
        """
        return not self.pending and all(kind in self._versions for kind in SUBSCRIBED_AS_A_WHOLE)

    async def responses(self) -> AsyncIterator[DeltaDiscoveryResponse]:
        """What is to be sent, as it comes up."""
        while True:
            yield await self._outbox.get()

    async def listen(self, requests: AsyncIterable[DeltaDiscoveryRequest]) -> None:
        """Take in what Envoy says until it says no more."""
        async for request in requests:
            self.take(request)

    def take(self, request: DeltaDiscoveryRequest) -> None:
        """Take in a subscription, an acknowledgement or a rejection."""
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
        """Send what has changed of that which Envoy has asked for."""
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
        """Have endpoints sent again: Envoy takes a changed cluster for a new one, which has none yet."""
        has = self._versions.get("endpoints", {})
        has |= dict.fromkeys((name for name in clusters if name in has), ABSENT)


class Subscriber:
    """A sidecar as the server knows it: what it is to run, and the streams of its processes.

    Attributes:
        configuration: What it is to run.
        streams: By node id, the newest stream of each process; several only while one replaces another.
    """

    def __init__(self) -> None:
        self.configuration = Configuration()
        self.streams: dict[str, Stream] = {}
        self.progress = asyncio.Event()
        """Set whenever a process has answered, asked for something or gone."""

    def publish(self, resources: Resources) -> None:
        """Send every process what has changed for it."""
        self.configuration.replace(resources)
        for stream in self.streams.values():
            stream.publish()


class DiscoveryServer:
    """Serves the configurations of all sidecars of a mesh."""

    def __init__(self, socket: Path, subscriber: Callable[[str], Subscriber | None]) -> None:
        """``subscriber`` finds a sidecar by the id of a node."""
        self._socket = socket
        self._subscriber = subscriber
        self._server: aio.Server | None = None

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
        """End every stream."""
        if self._server is not None:
            await self._server.stop(None)

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
        stream = Stream(subscriber.configuration, subscriber.progress.set)
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
