"""The published description of a check, parsed into paragraphs and quotations."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby


@dataclass(frozen=True)
class Span:
    """A span of text; ``code`` if it was between backticks."""

    text: str
    code: bool = False


@dataclass(frozen=True)
class Block:
    """A paragraph, or a quotation of a source."""

    text: str
    quoted: bool = False

    @property
    def spans(self) -> list[Span]:
        """The text as alternating spans of prose and code."""
        pieces = re.split(r"`{1,2}([^`]+)`{1,2}", self.text)
        return [Span(piece, code=bool(number % 2)) for number, piece in enumerate(pieces) if piece]


def blocks(docstring: str) -> Iterator[Block]:
    """The blocks of a docstring; lines that begin with ``>`` are quotations."""
    lines = inspect.cleandoc(docstring).splitlines()
    for quoted, group in groupby(lines, key=lambda line: line.lstrip().startswith(">")):
        stripped = (line.strip().removeprefix(">").strip() if quoted else line.strip() for line in group)
        for filled, paragraph in groupby(stripped, key=bool):
            if filled:
                yield Block(" ".join(paragraph), quoted)


def first_paragraph(docstring: str) -> str:
    """The first paragraph as plain text: the required behaviour."""
    return next(("".join(span.text for span in block.spans) for block in blocks(docstring)), "")
