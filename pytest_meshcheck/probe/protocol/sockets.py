"""Settings of sockets."""

import struct

ABORTIVE = struct.pack("ii", 1, 0)
"""SO_LINGER on with no time: closing sends RST."""
