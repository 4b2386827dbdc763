"""The values that cells have had, and where two observations differ, although some values vary by chance; pure."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pytest_meshcheck.testbed.trial.behaviour import Aspect, Cell, Round, Stimulus

Varies = Callable[[Cell], bool]
"""Whether the values of a cell vary by chance."""


@dataclass(eq=False)
class Observation:
    """The values of cells.

    Attributes:
        varies: Which of them vary by chance.
        values: The values of each cell.
        rounds: In how many rounds each cell was observed.
    """

    varies: Varies
    values: dict[Cell, set[str]] = field(default_factory=lambda: defaultdict(set))
    rounds: Counter[Cell] = field(default_factory=Counter)
    _pooled: dict[tuple[str, Aspect], set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, one: Round) -> None:
        """Take in a round; a cell that does not vary has its newest values."""
        for cell, values in one.items():
            kept = self.values[cell] if self.varies(cell) else set()
            self.values[cell] = kept | values
            if not cell.address_of:  # a pod that is called by its address answers itself, whatever rules say
                self._pooled[pool(cell)] |= values
            self.rounds[cell] += 1

    def has(self, stimulus: Stimulus) -> bool:
        """Whether a stimulus was observed."""
        return any(cell.stimulus == stimulus for cell in self.rounds)

    def certainly_new(self, one: Round) -> list[Cell]:
        """The cells of a round that are different, which no chance explains.

        Of a cell that varies only values count that no caller has ever seen at its port.
        """
        return [
            cell
            for cell, values in one.items()
            if self.rounds[cell]
            and (values - self._pooled[pool(cell)] if self.varies(cell) else values != self.values[cell])
        ]

    def unlike(self, other: "Observation") -> list[Cell]:
        """The cells that both have, with other values."""
        return [cell for cell in self.rounds if other.rounds[cell] and self.values[cell] != other.values[cell]]

    def too_few(self, stimuli: Iterable[Stimulus], rounds: int) -> list[Stimulus]:
        """The stimuli with a cell that varies, and was observed in fewer rounds."""
        few = {cell.stimulus for cell, number in self.rounds.items() if number < rounds and self.varies(cell)}
        return [one for one in stimuli if one in few]

    def of(self, cell: Cell) -> str:
        """The values of a cell in words."""
        return in_words(self.values[cell])


def in_words(values: Iterable[str]) -> str:
    """Values of a cell."""
    return " or ".join(sorted(values)) or "none"


def pool(cell: Cell) -> tuple[str, Aspect]:
    """What cells have in common whose values vary by the same chance: the port, and what is observed."""
    return str(cell.stimulus.destination), cell.aspect
