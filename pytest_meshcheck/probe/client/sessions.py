"""TLS sessions that a client keeps, to resume them on later connections (RFC 8446, 2.2)."""

import ssl
from collections import OrderedDict
from dataclasses import dataclass, field

from pytest_meshcheck.probe.protocol.messages import ClientTls
from pytest_meshcheck.probe.protocol.tls_contexts import client_context

LIMIT = 100
"""Sessions kept; beyond it the oldest go."""


@dataclass
class Sessions:
    """The newest session under each name, with its context: OpenSSL resumes it in no other."""

    _contexts: OrderedDict[str, ssl.SSLContext] = field(default_factory=OrderedDict)
    _kept: dict[str, ssl.SSLSession] = field(default_factory=dict)

    def context(self, tls: ClientTls) -> ssl.SSLContext:
        """The context of a connection: that of its session, which is made with the first connection of that name."""
        if not tls.session:
            return client_context(tls)
        if tls.session not in self._contexts:
            self._contexts[tls.session] = client_context(tls)
            if len(self._contexts) > LIMIT:
                self._kept.pop(self._contexts.popitem(last=False)[0], None)
        return self._contexts[tls.session]

    def of(self, tls: ClientTls) -> ssl.SSLSession | None:
        """The session to resume; None if there is none yet."""
        return self._kept.get(tls.session)

    def keep(self, tls: ClientTls, session: ssl.SSLSession | None) -> None:
        """Keep the session of a connection that ends, if the server gave the means to resume it."""
        if session is not None and session.has_ticket:
            self._kept[tls.session] = session


SESSIONS = Sessions()
"""Those of this probe."""
