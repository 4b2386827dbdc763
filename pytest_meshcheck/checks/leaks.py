"""What got through although it must not is a violation, whatever else failed.

A check that asserts a refusal goes on after a failed control, because whatever broke the control may also be what lets
others in: a port that bypasses the data plane, for example, serves outsiders and nobody else. From then on only a leak
counts, as a violation; other assertions are void. Without a leak the check is inconclusive, as the control said.
"""

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import CodeType, FrameType, FunctionType, TracebackType
from typing import Any

from pytest_meshcheck.checks.verdict import Violation
from pytest_meshcheck.model.errors import Inconclusive

REFUSALS = frozenset({"refused", "never_arrived", "unreadable", "kept_out", "kept_unreadable"})
"""The assertions of ``expect`` that find leaks, and what makes one of them."""

_failed: ContextVar[list[Inconclusive] | None] = ContextVar("failed controls", default=None)
"""The failed controls of the running check; None where the first of them ends it."""


def asserts_refusal(function: Callable[..., Any], suite: Path) -> bool:
    """Whether a check, or a function of its suite that it calls, uses one of ``REFUSALS``."""
    return any(name in REFUSALS for name in _names(inspect.unwrap(function), suite, set()))


@contextmanager
def leaks_first(going_on: bool) -> Iterator[None]:
    """Run a check; with ``going_on`` a failed control ends it late.

    Raises:
        Inconclusive: A control failed, and there was no leak.
    """
    if not going_on:
        yield
        return
    failed: list[Inconclusive] = []
    token = _failed.set(failed)
    try:
        yield
    except Violation:
        raise
    except Exception as error:
        if failed and error is not failed[0]:
            raise failed[0] from error  # what is built on a failed control breaks
        raise
    finally:
        _failed.reset(token)
    if failed:
        raise failed[0]


def fail_control(failure: Inconclusive) -> None:
    """Raise the failure of a control, or keep it where the check goes on."""
    failed = _failed.get()
    if failed is None:
        raise failure
    failed.append(failure.with_traceback(_callers()))


def fail_expectation(violation: Violation) -> None:
    """Raise a violation, unless a control has failed before and this is no leak."""
    failed = _failed.get()
    if failed and not violation.leak:
        return
    for failure in failed or ():
        violation.add_note(f"before that: {failure}")
    raise violation


def _names(function: FunctionType, suite: Path, known: set[Callable[..., Any]]) -> Iterator[str]:
    """The names of attributes and globals in a function, and in those of its suite that it calls."""
    known.add(function)
    for name in _names_in(function.__code__):
        yield name
        called = function.__globals__.get(name)
        if isinstance(called, FunctionType) and called not in known and _is_of(suite, called):
            yield from _names(called, suite, known)


def _is_of(suite: Path, function: FunctionType) -> bool:
    return Path(inspect.getfile(function)).resolve().is_relative_to(suite)


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names_in(inner)


def _callers() -> TracebackType | None:
    """The traceback that an exception has if the calling function raises it, up to the outermost frame."""
    frame: FrameType | None = sys._getframe(1)
    traceback: TracebackType | None = None
    while frame is not None:
        traceback = TracebackType(traceback, frame, frame.f_lasti, frame.f_lineno)
        frame = frame.f_back
    return traceback
