"""Progress messages of a run."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

R = TypeVar("R")


@dataclass(eq=False)
class Progress:
    """Lines on the terminal; an xdist worker prints nothing.

    Attributes:
        steps: The duration of each step in seconds.
    """

    config: pytest.Config
    steps: dict[str, float] = field(default_factory=dict)

    def step(self, done: str, name: str, work: Callable[[], R]) -> R:
        """Run a step, print a line at its end, and record its duration."""
        begun = time.monotonic()
        result = work()
        self.steps[name] = time.monotonic() - begun
        self.say(f"{done} in {self.steps[name]:.1f} s")
        return result

    def say(self, text: str) -> None:
        """Print a line."""
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        capture = self.config.pluginmanager.get_plugin("capturemanager")
        if terminal is None:
            return
        with capture.global_and_fixture_disabled() if capture else nullcontext():  # a fixture's output is captured
            terminal.ensure_newline()
            terminal.write_line(f"meshcheck: {text}")
