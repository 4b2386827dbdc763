"""A TLS handshake as a client, and nothing in it."""

from pytest_meshcheck.probe.client.connection import dial
from pytest_meshcheck.probe.client.exchange import ExchangeRecorder
from pytest_meshcheck.probe.client.tls import Secure
from pytest_meshcheck.probe.protocol.errors import ProbeFault
from pytest_meshcheck.probe.protocol.messages import Request

VERDICT = 0.3
"""Seconds that a server gets to send an alert after a handshake that is all there is."""


async def speak(request: Request, recorder: ExchangeRecorder) -> None:
    """Make a TLS handshake and wait whether the peer regrets it; see ``client.speaker``."""
    if request.tls is None:
        raise ProbeFault("a TLS handshake needs Request.tls")
    with await dial(request.address, recorder) as plain:
        secure = Secure(plain, request.tls)
        await secure.shake_hands(recorder)
        await secure.verdict(VERDICT, always=True)
