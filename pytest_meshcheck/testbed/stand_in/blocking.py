"""A stand-in for functions: the session's event loop, which waits between coroutines, runs each call to its end."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_meshcheck.model.load import Load
from pytest_meshcheck.probe.process.own_loop import WrongLoop
from pytest_meshcheck.probe.protocol import messages as m
from pytest_meshcheck.testbed.stand_in.clients import client

if TYPE_CHECKING:
    import httpx

    from pytest_meshcheck.testbed.stand_in.handle import RunningStandIn, Sent

R = TypeVar("R")

IN_COROUTINE = "stand_in(...).blocking is for functions, and this is a coroutine: leave out .blocking, and write await"


@dataclass(frozen=True, eq=False)
class BlockingStandIn:
    """The value of ``stand_in("shop/orders").blocking``, with the arguments, results and errors of ``RunningStandIn``.

    Attributes:
        stand_in: The stand-in.
    """

    stand_in: "RunningStandIn"

    def __str__(self) -> str:
        return self.stand_in.name

    @cached_property
    def http(self) -> "httpx.Client":
        """A client whose requests are sent from inside of this stand-in, each once."""
        return client(self.stand_in.sender, self.run)

    def get(self, url: str, **request: Any) -> m.Exchange:
        """Send one request."""
        return self.run(self.stand_in.get(url, **request))

    def post(self, url: str, body: m.Body | str = "", **request: Any) -> m.Exchange:
        """Send one POST with a body."""
        return self.run(self.stand_in.post(url, body, **request))

    def answers(self, *answers: m.Answer | int, repeat: bool = False, request_id: str = "") -> str:
        """Script what it answers to one request; returns the request id."""
        return self.run(self.stand_in.answers(*answers, repeat=repeat, request_id=request_id))

    def attempts(self, sent: "Sent") -> tuple[m.Attempt, ...]:
        """The attempts at one request that reached its application."""
        return self.run(self.stand_in.attempts(sent))

    @contextmanager
    def load(self, url: str, rate: float, **request: Any) -> Iterator[Load]:
        """Open-loop load on a port of these manifests while the block runs."""
        block = self.stand_in.load(url, rate, **request)
        load = self.run(block.__aenter__())
        try:
            yield load
        finally:
            self.run(block.__aexit__(None, None, None))

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine to its end.

        Raises:
            WrongLoop: The caller is a coroutine itself.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self.stand_in.loop.run_until_complete(work)
        work.close()
        raise WrongLoop(IN_COROUTINE)
