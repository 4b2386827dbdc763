"""HTTP/2 connections as a probe has them, at either end: headers go and come as they are, and windows are wide."""

import h2.config
import h2.connection
import h2.events
import h2.settings
from h2.errors import ErrorCodes

STREAMS = 10_000
"""Streams that a peer may have open on one connection."""

WINDOW = 1 << 20
"""Bytes that the peer may send ahead on one stream."""


class OpenAfterGoaway(h2.connection.H2ConnectionStateMachine):
    """Client connection state that allows frames after GOAWAY, as the peer completes streams it has accepted.

    RFC 9113, 6.8; h2 itself rejects every frame after GOAWAY.
    """

    def process_input(self, input_: h2.connection.ConnectionInputs) -> list[h2.events.Event]:
        """Keep the state on GOAWAY."""
        if input_ is h2.connection.ConnectionInputs.RECV_GOAWAY:
            return []
        return super().process_input(input_)


def client_side() -> h2.connection.H2Connection:
    """The client's end, begun: its preface waits to be sent."""
    http = _connection(client_side=True)
    http.state_machine = OpenAfterGoaway()
    http.initiate_connection()
    http.increment_flow_control_window(WINDOW)
    return http


def server_side(*, validate_inbound_headers: bool = True) -> h2.connection.H2Connection:
    """The server's end, begun: its settings wait to be sent."""
    http = _connection(client_side=False, validate_inbound_headers=validate_inbound_headers)
    # Acknowledged at once: a proxy opens streams before it knows the limit, and h2 would end the connection.
    http.local_settings[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS] = STREAMS
    http.local_settings.acknowledge()
    http.initiate_connection()
    http.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: WINDOW})
    http.increment_flow_control_window(WINDOW * 8)
    return http


def room(http: h2.connection.H2Connection, stream: int) -> int:
    """How many bytes may be sent on a stream in one frame now."""
    return min(http.local_flow_control_window(stream), http.max_outbound_frame_size)


def ignore(_event: h2.events.Event) -> None:
    """Nothing to do: PING and SETTINGS are answered by h2 itself."""


def _connection(*, client_side: bool, validate_inbound_headers: bool = True) -> h2.connection.H2Connection:
    config = h2.config.H2Configuration(
        client_side=client_side,
        header_encoding=None,
        validate_inbound_headers=validate_inbound_headers,
        validate_outbound_headers=False,
        normalize_outbound_headers=False,
    )
    return h2.connection.H2Connection(config)


def error_name(code: int | None) -> str:
    """The name of an error code (RFC 9113, 7), or its number if it has none."""
    return ErrorCodes(code).name if code in set(ErrorCodes) else str(code)
