"""A measured figure, with the bound it is held against."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes:
        name: What was measured, with its unit.
        value: What came out.
        bound: What it is held against; None where it is only recorded.
    """

    name: str
    value: float
    bound: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the value is within the bound."""
        return self.bound is None or self.value <= self.bound

    def __str__(self) -> str:
        bound = "" if self.bound is None else f"  {'holds' if self.holds else 'FAILS'}: at most {self.bound:g}"
        return f"{self.name:<88} {self.value:>10.4g}{bound}"
