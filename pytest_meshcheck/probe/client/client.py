"""The client: one connection per request; it never retries, pools, redirects or normalises."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from pytest_meshcheck.probe.client.connection import Connection, dial
from pytest_meshcheck.probe.client.exchange import Ended, Observed
from pytest_meshcheck.probe.client.tls import Secure
from pytest_meshcheck.probe.protocol.errors import ProbeFault
from pytest_meshcheck.probe.protocol.messages import Ending, Exchange, Protocol, Request

HANDSHAKE_VERDICT = 0.3
"""Seconds that a server gets to send an alert after a handshake that is all there is."""

Speaker = Callable[[Request, Observed], Awaitable[None]]

MODULES = {
    Protocol.HTTP1: "http1",
    Protocol.H2C: "http2",
    Protocol.GRPC: "grpc",
    Protocol.TCP: "tcp",
}
"""Who speaks what; loaded when first needed, since a probe that never does must start fast."""

_loaded: dict[Protocol, Speaker] = {}


async def speaker(protocol: Protocol) -> Speaker:
    """What makes an exchange of this protocol: it returns once a whole answer came, or raises ``Ended``."""
    if protocol is Protocol.TLS:
        return handshake_only
    if protocol not in _loaded:
        # Beside the event loop, since others are under way whose times are measured. Not by a look at sys.modules,
        # where a module is from the beginning of its import on.
        module = await asyncio.to_thread(importlib.import_module, f"{__package__}.{MODULES[protocol]}")
        _loaded[protocol] = module.speak
    return _loaded[protocol]


async def exchange(request: Request, resumed: asyncio.Event | None = None) -> Exchange:
    """Make one exchange; ``resumed`` ends the pause in its body.

    Raises:
        ProbeFault: The request makes no sense, or this machine cannot make it.
    """
    speak = await speaker(request.protocol)
    return await observe(Observed(request, resumed), request.patience, lambda observed: speak(request, observed))


async def observe(observed: Observed, patience: float, speak: Callable[[Observed], Awaitable[None]]) -> Exchange:
    """Run something that observes an exchange, and say how it ended."""
    try:
        async with asyncio.timeout(patience):
            await speak(observed)
    except Ended as ended:
        return observed.ended(ended)
    except ConnectionResetError as reset:
        return observed.ended(observed.cut(reset.strerror or "connection reset", reset=True))
    except TimeoutError:
        return observed.ended(observed.out_of_patience())
    return observed.exchange(Ending.ANSWERED)


@asynccontextmanager
async def connection(request: Request, observed: Observed) -> AsyncIterator[Connection]:
    """The connection of a request, over TLS and in a tunnel where it says so; closed at the end of the block."""
    with await dial(request.address, observed) as plain:
        if request.tls is None:
            yield plain
            return
        secure = Secure(plain, request.tls)
        await secure.shake_hands(observed)
        await secure.verdict()
        if not request.tls.tunnel:
            yield secure
            return
        # Loaded when first needed, as those who speak are.
        tunnel = await asyncio.to_thread(importlib.import_module, f"{__package__}.hbone")
        async with tunnel.tunnelled(secure, request.tls.tunnel) as inside:
            yield inside


async def abandon(writing: asyncio.Task[None]) -> None:
    """End a write that an early answer made pointless; what went wrong with it otherwise is raised."""
    writing.cancel()
    await asyncio.wait({writing})
    if not writing.cancelled() and (error := writing.exception()) is not None:
        raise error


async def handshake_only(request: Request, observed: Observed) -> None:
    """Make a TLS handshake and wait whether the peer regrets it."""
    if request.tls is None:
        raise ProbeFault("a TLS handshake needs Request.tls")
    with await dial(request.address, observed) as plain:
        secure = Secure(plain, request.tls)
        await secure.shake_hands(observed)
        await secure.verdict(HANDSHAKE_VERDICT, always=True)
