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
    """Lines on the terminal; a worker of xdist has nobody to say them to.

    Attributes:
        steps: What took how many seconds.
    """

    config: pytest.Config
    steps: dict[str, float] = field(default_factory=dict)

    def step(self, done: str, name: str, work: Callable[[], R]) -> R:
        """Do something, say that it is done, and keep how long it took."""
        begun = time.monotonic()
        result = work()
        self.steps[name] = time.monotonic() - begun
        self.say(f"{done} in {self.steps[name]:.1f} s")
        return result

    def say(self, text: str) -> None:
        """Write a line of its own."""
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        capture = self.config.pluginmanager.get_plugin("capturemanager")
        if terminal is None:
            return
        with capture.global_and_fixture_disabled() if capture else nullcontext():  # a mesh is ready within a fixture
            terminal.ensure_newline()
            terminal.write_line(f"meshcheck: {text}")
