"""The certificate of one workload, renewed in time without a restart."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from pytest_meshcheck.model.errors import Inconclusive
from pytest_meshcheck.model.pki import Authority
from pytest_meshcheck.model.workload_spec import WorkloadSpec
from pytest_meshcheck.probe.protocol.messages import Credentials

DEFAULT_LIFETIME = 3600.0
SHORTEST_LIFETIME = 3.0
"""Seconds. As X.509 counts whole seconds, shorter ones could expire before they are renewed."""

RENEWED_AFTER = 1 / 3
"""The fraction of its lifetime after which a certificate is renewed; a failed renewal can be repeated in time."""


@dataclass(frozen=True)
class Term:
    """How long certificates of a workload last, in seconds.

    Attributes:
        lifetime: Lifetime of each.
        renewed_after: Its age when it is due for renewal.
    """

    lifetime: float
    renewed_after: float

    @classmethod
    def of(cls, workload: WorkloadSpec) -> "Term":
        """What a workload asks for, or the defaults of the mesh."""
        lifetime = workload.leaf_lifetime or DEFAULT_LIFETIME
        due = lifetime * RENEWED_AFTER if workload.renewed_after is None else workload.renewed_after
        return cls(lifetime, due)


class Certificate:
    """The certificate of a workload.

    Attributes:
        uri: The workload's SPIFFE ID.
        term: How long each certificate lasts.
    """

    def __init__(
        self, authority: Authority, uri: str, term: Term, in_service: asyncio.Event, renewed: Callable[[], None]
    ) -> None:
        """Issue nothing yet.

        Args:
            authority: The issuing authority.
            uri: The workload's SPIFFE ID.
            term: How long each certificate lasts.
            in_service: Set while the authority issues.
            renewed: Called after each renewal.
        """
        self.uri = uri
        self.term = term
        self._authority = authority
        self._in_service = in_service
        self._renewed = renewed
        self._credentials: Credentials | None = None
        self._renewal: asyncio.Task[None] | None = None

    @property
    def credentials(self) -> Credentials:
        """The newest certificate and its key."""
        if self._credentials is None:
            raise Inconclusive(f"the authority has issued nothing to {self.uri}")
        return self._credentials

    async def begin(self, patience: float) -> None:
        """Issue the first certificate, and keep renewing it.

        Raises:
            Inconclusive: The authority is out of service for longer than ``patience`` seconds.
        """
        try:
            await asyncio.wait_for(self._in_service.wait(), patience)
        except TimeoutError as late:
            raise Inconclusive(f"the authority is out of service: no certificate for {self.uri}") from late
        self.renew()

    def renew(self) -> None:
        """Issue a new certificate now, or as soon as the authority is back in service."""
        if self._in_service.is_set():
            self._issue()
        self._schedule(self.term.renewed_after if self._in_service.is_set() else 0.0)

    def check(self) -> None:
        """Raise Inconclusive if the renewals have failed."""
        if self._renewal is not None and self._renewal.done() and not self._renewal.cancelled():
            error = self._renewal.exception()
            if error is not None:
                raise Inconclusive(f"the certificate of {self.uri} is no longer renewed: {error}") from error

    def end(self) -> None:
        """Stop the renewals."""
        if self._renewal is not None:
            self._renewal.cancel()

    def _issue(self) -> None:
        self._credentials = self._authority.issue(self.uri, self.term.lifetime)

    def _schedule(self, delay: float) -> None:
        self.end()
        self._renewal = asyncio.create_task(self._keep_renewing(delay))

    async def _keep_renewing(self, delay: float) -> None:
        while True:
            await asyncio.sleep(delay)
            await self._in_service.wait()
            self._issue()
            self._renewed()
            delay = self.term.renewed_after
