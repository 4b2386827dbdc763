"""Text is read and written in an encoding that is said, not in that of whoever runs us; ruff sees some of it only."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    path
    for folder in ("pytest_meshcheck", "conformance", "examples", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.py"))
]

POSITION = {
    # method of a path: how many arguments come before the encoding
    "read_text": 0,
    "write_text": 1,
}
OPENS = ("open", "fdopen")
STARTS = ("run", "Popen", "check_output")


def unsaid(source: str) -> Iterator[int]:
    """The lines of calls that read or write text and say no encoding."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and not _says(node) and _is_about_text(node):
            yield node.lineno


def _says(call: ast.Call) -> bool:
    position = POSITION.get(_name(call), len(call.args))
    return len(call.args) > position or any(keyword.arg == "encoding" for keyword in call.keywords)


def _is_about_text(call: ast.Call) -> bool:
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    if _name(call) in STARTS:
        return "text" in keywords
    if _name(call) not in OPENS:
        return _name(call) in POSITION
    mode = call.args[:2][-1] if call.args else keywords.get("mode")
    if isinstance(call.func, ast.Attribute) and _name(call) == "open":
        mode = call.args[0] if call.args else keywords.get("mode")
        return (not call.args and not call.keywords) or _is_text_mode(mode)
    return not isinstance(mode, ast.Constant) or _is_text_mode(mode)


def _is_text_mode(mode: ast.expr | None) -> bool:
    return isinstance(mode, ast.Constant) and isinstance(mode.value, str) and set(mode.value) <= set("rwaxt+")


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_text_file_has_an_encoding(path: Path) -> None:
    assert list(unsaid(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ("path.read_text()", True),
        ("path.read_text('utf-8')", False),
        ("path.write_text(text)", True),
        ("path.write_text(text, encoding='utf-8')", False),
        ("open(path)", True),
        ("path.open('ab')", False),
        ("path.open('w')", True),
        ("subprocess.run(argv, text=True)", True),
        ("subprocess.run(argv, text=True, encoding='utf-8')", False),
        ("subprocess.run(argv)", False),
    ],
)
def test_what_says_no_encoding_is_seen(call: str, found: bool) -> None:
    assert bool(list(unsaid(call))) is found
