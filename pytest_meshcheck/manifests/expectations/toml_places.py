"""The lines of a TOML file, which ``tomllib`` does not tell: of its tables, their keys and the texts in them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_meshcheck.manifests.objects import Place
from pytest_meshcheck.manifests.reading import Text

HEADER = re.compile(r"\s*\[\[?\s*([\w-]+)\s*\]\]?\s*(?:#.*)?$")
KEY = re.compile(r"""\s*["']?([\w-]+)["']?\s*=""")


@dataclass(frozen=True)
class Block:
    """The lines from one header to the next.

    Attributes:
        file: The file.
        table: The name in the header; empty before the first.
        line: The line of the header, from 1.
        lines: The lines, that of the header first.
    """

    file: str
    table: str
    line: int
    lines: tuple[str, ...]

    @property
    def place(self) -> Place:
        """Where it begins."""
        return Place(self.file, self.line)

    def key(self, key: str) -> Place:
        """Where a key is; the header if it is not found."""
        return self._place(self._key(key))

    def text(self, key: str, value: str, nth: int = 0) -> Place:
        """Where a text is for the nth time in the value of a key; the key if it is not found."""
        at = self._key(key)
        quoted = (f'"{value}"', f"'{value}'")
        found = [number for number, line in self._from(at) for _ in range(sum(map(line.count, quoted)))]
        return self._place(found[nth] if nth < len(found) else at)

    def _key(self, key: str) -> int:
        keys = {found[1]: number for number, line in self._from(0) if (found := KEY.match(line))}
        return keys.get(key, 0)

    def _from(self, start: int) -> Iterator[tuple[int, str]]:
        return ((number, line) for number, line in enumerate(self.lines) if number >= start)

    def _place(self, number: int) -> Place:
        return Place(self.file, self.line + number)


def blocks(text: Text) -> list[Block]:
    """The parts of a file: what is before the first header, and one for each header."""
    lines = text.content.split("\n")
    starts = [number for number, line in enumerate(lines) if HEADER.match(line)]
    ends = [*starts, len(lines)]
    first = Block(text.file, "", 1, tuple(lines[: ends[0]]))
    found = [_block(text, lines[start:end], start) for start, end in zip(starts, ends[1:], strict=True)]
    return [first, *found]


def _block(text: Text, lines: list[str], start: int) -> Block:
    header = HEADER.match(lines[0])
    return Block(text.file, header[1] if header else "", start + 1, tuple(lines))
