"""The client: one connection per request; it never retries, pools, redirects or normalises."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import ModuleType

from pytest_meshcheck.probe.client.connection import Connection, dial
from pytest_meshcheck.probe.client.exchange import Ended, ExchangeRecorder
from pytest_meshcheck.probe.client.tls import Secure
from pytest_meshcheck.probe.process.loading import loaded
from pytest_meshcheck.probe.protocol.messages import Ending, Exchange, Protocol, Request

Speaker = Callable[[Request, ExchangeRecorder], Awaitable[None]]


async def module_of(protocol: Protocol) -> ModuleType:
    """The module that speaks a protocol; see ``protocols.Facts``."""
    return await loaded(f"{__package__}.{protocol.facts.client}")


async def speaker(protocol: Protocol) -> Speaker:
    """What makes an exchange of this protocol: it returns once a whole answer came, or raises ``Ended``."""
    speak: Speaker = (await module_of(protocol)).speak
    return speak


async def exchange(request: Request, resumed: asyncio.Event | None = None) -> Exchange:
    """Make one exchange; ``resumed`` ends the pause in its body.

    Raises:
        ProbeFault: The request makes no sense, or this machine cannot make it.
    """
    speak = await speaker(request.protocol)
    await asyncio.sleep(request.idle)
    return await observe(
        ExchangeRecorder(request, resumed), request.patience, lambda recorder: speak(request, recorder)
    )


async def observe(
    recorder: ExchangeRecorder, patience: float, speak: Callable[[ExchangeRecorder], Awaitable[None]]
) -> Exchange:
    """Run something that observes an exchange, and say how it ended."""
    try:
        async with asyncio.timeout(patience):
            await speak(recorder)
    except Ended as ended:
        return recorder.ended(ended)
    except ConnectionResetError as reset:
        return recorder.ended(recorder.cut(reset.strerror or "connection reset", reset=True))
    except TimeoutError:
        return recorder.ended(recorder.out_of_patience())
    return recorder.exchange(Ending.ANSWERED)


@asynccontextmanager
async def connection(request: Request, recorder: ExchangeRecorder) -> AsyncIterator[Connection]:
    """The connection of a request, over TLS and in a tunnel if it says so; closed at the end of the block."""
    with await dial(request.address, recorder) as plain:
        if request.tls is None:
            yield plain
            return
        secure = Secure(plain, request.tls)
        try:
            await secure.shake_hands(recorder)
            await secure.verdict()
            if not request.tls.tunnel:
                yield secure
                return
            tunnel = await loaded(f"{__package__}.hbone")
            async with tunnel.tunnelled(secure, request.tls.tunnel) as inside:
                yield inside
        finally:
            secure.keep_session()


async def abandon(writing: asyncio.Task[None]) -> None:
    """End a write that an early answer made pointless; what went wrong with it otherwise is raised."""
    writing.cancel()
    await asyncio.wait({writing})
    if not writing.cancelled() and (error := writing.exception()) is not None:
        raise error
