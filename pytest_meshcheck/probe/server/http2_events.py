"""The events of an HTTP/2 connection at the server's end, each with its handler."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import h2.connection
import h2.events

from pytest_meshcheck.probe.http2.connection import ignore


class Http2Events(ABC):
    """Hands each event to its handler; there is nothing to do for others, which h2 itself answers.

    Attributes:
        http: The server's end of the connection.
    """

    def __init__(self, http: h2.connection.H2Connection) -> None:
        self.http = http
        self._handlers: dict[type, Callable[[Any], None]] = {
            h2.events.RequestReceived: self._begin,
            h2.events.DataReceived: self._data,
            h2.events.StreamEnded: self._end,
            h2.events.StreamReset: self._reset,
            h2.events.WindowUpdated: self._open_window,
            h2.events.RemoteSettingsChanged: self._open_window,
        }

    def handle(self, event: h2.events.Event) -> None:
        """Handle one event."""
        self._handlers.get(type(event), ignore)(event)

    @abstractmethod
    def _begin(self, event: h2.events.RequestReceived) -> None:
        """A stream begins."""

    @abstractmethod
    def _data(self, event: h2.events.DataReceived) -> None:
        """Bytes of a stream arrived."""

    @abstractmethod
    def _end(self, event: h2.events.StreamEnded) -> None:
        """The peer's direction of a stream has ended."""

    @abstractmethod
    def _reset(self, event: h2.events.StreamReset) -> None:
        """The peer has reset a stream."""

    @abstractmethod
    def _open_window(self, event: h2.events.Event) -> None:
        """The peer takes more bytes."""
