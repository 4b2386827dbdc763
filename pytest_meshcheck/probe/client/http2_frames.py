"""The frames that a server sends over HTTP/2, from its first byte on."""

import h2.connection
import h2.events
import h2.exceptions

from pytest_meshcheck.probe.client.exchange import Ended
from pytest_meshcheck.probe.protocol.messages import Ending

FRAME_HEADER = 9
SETTINGS = 4


class FromServer:
    """The frames that a server sends, from its first byte on."""

    def __init__(self, http: h2.connection.H2Connection) -> None:
        self._http = http
        self._start = b""

    def events(self, data: bytes) -> list[h2.events.Event]:
        """What these bytes say; Ended where they are no HTTP/2.

        A server's first frame is SETTINGS (RFC 9113, 3.4); h2 would take anything else for a frame to wait for.
        """
        if len(self._start) < FRAME_HEADER:
            self._start += data[:FRAME_HEADER]
            if len(self._start) > 3 and self._start[3] != SETTINGS:
                raise Ended(Ending.MALFORMED, f"not HTTP/2: {self._start!r}")
        try:
            return self._http.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            raise Ended(Ending.MALFORMED, str(error)) from error
