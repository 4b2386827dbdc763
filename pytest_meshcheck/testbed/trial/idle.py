"""How long a connection may be idle: one connection of each caller is used again after longer and longer pauses."""

from collections.abc import Awaitable, Callable

from pytest_meshcheck.checks.effective_values import PAUSES
from pytest_meshcheck.manifests.services import Destination
from pytest_meshcheck.model.observation import Ending, Exchange, Protocol
from pytest_meshcheck.model.workload import new_id
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.testbed.trial.access import form_of
from pytest_meshcheck.testbed.trial.stand_ins import Caller, StandIns
from pytest_meshcheck.testbed.trial.ways import request_on, way_by_name

Again = Callable[[float], Awaitable[Exchange]]
"""Uses the connection again after a pause in seconds."""


async def idle_limit(trial: StandIns, destination: Destination, caller: Caller) -> float | None:
    """The shortest pause in seconds, at a scale of 1, after which the connection was closed; 0 after none of them.

    None where the caller is not let in. A stream of bytes is used again as it is; of HTTP another request is sent on
    the connection, which a limit on the time of one request does not end.

    Raises:
        Inconclusive: The probe is lost.
    """
    name, keep = new_id(), destination.declared.spoken.facts.is_http
    way, backend = way_by_name(trial, destination, caller), trial.backends(destination)[0]
    kept, workload = _kept(destination, name), caller.workload

    def request(request_id: str, idle: float = 0.0) -> m.Request:
        return request_on(destination, backend, way, request_id=request_id, idle=idle, **kept)

    async def again(pause: float) -> Exchange:
        idle = pause * trial.scale
        used = m.Send(request(f"{name}-{pause:g}", idle)) if keep else m.EchoOnStream(name, m.Body(), idle)
        return (await workload.ask(used, m.Exchanged)).exchange

    opened = m.Send(request(name)) if keep else m.OpenStream(request(name))
    first = (await workload.ask(opened, m.Exchanged)).exchange
    if form_of(first, first.protocol):
        return None
    try:
        return await _first_closed(again)
    finally:
        await workload.ask(m.CloseConnection(name) if keep else m.CloseStream(name), m.Done)


async def _first_closed(again: Again) -> float:
    for pause in PAUSES:
        if (await again(pause)).ending in (Ending.CLOSED, Ending.RESET):
            return pause
    return 0.0


def _kept(destination: Destination, name: str) -> dict[str, object]:
    """What keeps the connection of a request; gRPC is HTTP/2, of which a request of its own is sent."""
    spoken = destination.declared.spoken
    if not spoken.facts.is_http:
        return {}
    return {"connection": name, "protocol": Protocol.H2C if spoken.facts.grpc else spoken}
