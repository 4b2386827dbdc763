"""The requests that show whether a part of a configuration acts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_meshcheck.checks.port_effects import STALL
from pytest_meshcheck.manifests.mutation.parts import Part
from pytest_meshcheck.manifests.mutation.stimuli import Stimuli, stimuli
from pytest_meshcheck.manifests.mutation.targets import OF_WORKLOADS, Configuration, concerned
from pytest_meshcheck.manifests.mutation.visibility import beside
from pytest_meshcheck.manifests.services import Destination
from pytest_meshcheck.testbed.trial.behaviour import Stimulus

USED_UP = 10
"""Rounds in which every caller has used the connections that its data plane has kept."""


@dataclass(frozen=True)
class PartStimuli:
    """The requests for a part.

    Attributes:
        quick: What is sent over and over until something changes.
        all: All of it.
        rounds: How often ``quick`` is sent, at least, before nothing is taken to change any more.
    """

    quick: tuple[Stimulus, ...]
    all: tuple[Stimulus, ...]
    rounds: int

    @classmethod
    def of(cls, part: Part, around: Configuration) -> "PartStimuli":
        """Requests that meet the rules on the ports that a part concerns; a plain one by all ways to every port."""
        ports, routes = concerned(part.resource, around), part.kind not in OF_WORKLOADS
        related = [one for one in beside(part.resource, around) if routes or (one.group, one.kind) in OF_WORKLOADS]
        known = stimuli(related)
        met = [one for port in ports for one in _met(port, known, routes=routes)]
        every = [Stimulus(port, known.shapes[0], by_address=True) for port in around.plan.destinations]
        plain = [Stimulus(port, known.shapes[0]) for port in around.plan.destinations]
        quick = [one for one in met if one.failure != STALL] or plain
        return cls(tuple(quick), tuple(dict.fromkeys([*quick, *met, *every])), 2 if routes else USED_UP)


def _met(port: Destination, known: Stimuli, *, routes: bool) -> Iterator[Stimulus]:
    """The requests to one port: of each kind, and with each failure where the part routes requests of HTTP."""
    if not port.has_methods:
        yield Stimulus(port, known.shapes[0])
        return
    yield from (Stimulus(port, shape) for shape in known.shapes)
    if routes:
        both = dict.fromkeys(one for shape in known.shapes for one in (shape, shape.posted))
        yield from (Stimulus(port, shape, failure) for shape in both for failure in known.failures)
        yield from (Stimulus(port, shape, STALL) for shape in known.shapes if known.limits)


def cheapest_first(parts: Sequence[Part], around: Configuration) -> list[Part]:
    """Parts by the number of their ports, each of which every caller calls, and then by that of their requests."""
    return sorted(parts, key=lambda one: (len(concerned(one.resource, around)), len(PartStimuli.of(one, around).all)))
