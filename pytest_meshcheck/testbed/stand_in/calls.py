"""Requests to the URLs of a user's own tests."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pytest_meshcheck.manifests.services import Destination
from pytest_meshcheck.model.workload import Workload, new_id
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.testbed.stand_in.names import destination_of, host_of
from pytest_meshcheck.testbed.trial.stand_ins import StandIns
from pytest_meshcheck.testbed.trial.ways import PLAIN_PORT

REQUEST_ID = "request_id"
"""The extension of a request of httpx that names it in ledgers."""


@dataclass(frozen=True)
class Call:
    """A request, and the port of the manifests that it is for; None if it is for none of them."""

    request: m.Request
    destination: Destination | None


@dataclass(frozen=True)
class Sender:
    """Who sends requests.

    Attributes:
        name: The name of the stand-in.
        trial: All stand-ins.
        workload: Its probe.
    """

    name: str
    trial: StandIns
    workload: Workload

    def call(self, url: str, **fields: Any) -> Call:
        """The request to a URL, e.g. ``payments:8080/pay``, in the protocol that its port declares.

        Args:
            url: ``HOST[:PORT][/PATH]``, also with a scheme, which says nothing; the port is 80 if left out.
            fields: Fields of ``messages.Request`` in place of the defaults.

        Raises:
            ValueError: It is no such URL.
            UnknownName: No service has this name.
        """
        parts = urlsplit(url if "://" in url else f"//{url}")
        if not parts.hostname:
            raise ValueError(f"{url!r} names no host; write HOST:PORT/PATH, such as 'payments:8080/pay'")
        host, port = host_of(self.trial, self.workload, parts.hostname), parts.port or PLAIN_PORT
        destination = destination_of(self.trial, host.service, port)
        spoken = m.Protocol(fields.pop("protocol", destination.declared.spoken if destination else m.Protocol.HTTP1))
        defaults: dict[str, Any] = {
            "request_id": new_id(),
            "authority": parts.netloc,
            "path": _path(parts, spoken, fields.get("kind", "unary")),
            "patience": self.workload.patience,
        }
        return Call(m.Request(address=(host.dialled, port), protocol=spoken, **(defaults | fields)), destination)

    async def send(self, call: Call) -> m.Exchange:
        """Send one request; Inconclusive if the probe is lost or cannot send it."""
        where = str(call.destination) if call.destination else call.request.authority
        reply = await self.workload.ask(m.Send(call.request), m.Exchanged)
        self.workload.journal.add("exchange", f"{self.workload} -> {where}", reply.exchange)
        return reply.exchange


def _path(parts: SplitResult, spoken: m.Protocol, kind: str) -> str:
    """The path with its query; where the URL has none, that of the protocol."""
    path = parts.path or spoken.facts.paths.get(kind, "/")
    return f"{path}?{parts.query}" if parts.query else path
