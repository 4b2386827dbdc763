"""Whether the policies that a caller meets ever go back, by the order of its own requests.

Policies go through steps. A request that began when another one had ended cannot meet an earlier step than that one.
Requests side by side prove nothing, and no clock is compared with another one.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pytest_meshcheck.model.observation import is_good
from pytest_meshcheck.probe.protocol.messages import LoadResult, PolledValue, Property
from pytest_meshcheck.probe.protocol.observations import SILENCE


@dataclass(frozen=True)
class Step:
    """The policies after one change.

    Attributes:
        shown: The value of the examined property once they act; steps side by side differ in it.
        sent: How many requests had been sent before that change was asked for.
    """

    shown: PolledValue
    sent: int


@dataclass(frozen=True)
class Met:
    """What one request of a load met; times are of the clock of its client.

    Attributes:
        sent: When it began.
        ended: When it had its answer.
        shown: The value of the examined property.
        tells: Whether that value tells of policies; it does not where a request failed that has to be served, or where
            the client gave up.
    """

    sent: float
    ended: float
    shown: PolledValue
    tells: bool = True


@dataclass(frozen=True)
class Flap:
    """Requests in a row that met earlier policies, though one that had ended before had met later ones.

    Attributes:
        request: The number of the first of them, from 0.
        seconds: From the start of the first to the end of the last.
    """

    request: int
    seconds: float


def met_in(result: LoadResult, examined: Property) -> tuple[Met, ...]:
    """What the requests of a load met, in the order in which they were sent."""
    good = [is_good(result, number) for number in range(len(result.sent))]
    served = examined is Property.SERVED
    shown: Sequence[PolledValue] = good if served else result.policies
    tell = [ending not in SILENCE for ending in result.endings] if served else good
    columns = zip(result.sent, result.ended, shown, tell, strict=True)
    return tuple(Met(*one) for one in columns)


def unmet(steps: Sequence[Step], met: Iterable[Met]) -> tuple[PolledValue, ...]:
    """The values of steps that no request has met."""
    seen = {one.shown for one in met if one.tells}
    return tuple(step.shown for step in steps if step.shown not in seen)


def flaps(steps: Sequence[Step], met: Sequence[Met]) -> tuple[Flap, ...]:
    """Each return to the policies of an earlier step, with its length.

    Args:
        steps: In the order of the changes; the first is that before all changes.
        met: In the order in which the requests were sent.
    """
    found: list[Flap] = []
    begun = [met[step.sent - 1].sent if step.sent else -math.inf for step in steps]
    least, side_by_side = 0, list[tuple[float, int]]()  # since the last flap; when each ended, and the step that it met
    flapping = -1  # the step that is met in the flap which goes on
    for number, one in ((number, one) for number, one in enumerate(met) if one.tells):
        least = max([least, *(step for ended, step in side_by_side if ended < one.sent)])
        side_by_side = [(ended, step) for ended, step in side_by_side if ended >= one.sent]
        may_meet = [n for n, step in enumerate(steps) if step.shown == one.shown and begun[n] < one.ended]
        step = min((n for n in may_meet if n >= least), default=-1)
        if step < 0:
            flapping = step = max(may_meet, default=0)
            least, side_by_side = 0, []
            found.append(Flap(number, one.ended - one.sent))
        elif step == flapping:
            found[-1] = replace(found[-1], seconds=one.ended - met[found[-1].request].sent)
        else:
            flapping = -1
        side_by_side.append((one.ended, step))
    return tuple(found)
