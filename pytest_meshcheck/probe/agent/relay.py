"""Joins standard input and output with a probe's Unix socket: what an ``exec`` into a pod runs.

It imports little, as it starts at every connection.
"""

import os
import socket
import sys
import threading
import time

CHUNK = 1 << 16
PATIENCE = 10.0
"""Seconds within which the probe has to listen."""

INTERVAL = 0.02


def main() -> None:
    """Relay until either side ends."""
    try:
        control = connected(sys.argv[1], time.monotonic() + PATIENCE)
    except OSError as error:
        sys.exit(f"no probe takes controllers on {sys.argv[1]}: {error}")
    threading.Thread(target=pump_in, args=(control,), daemon=True).start()
    while data := control.recv(CHUNK):
        write_all(data)


def connected(path: str, until: float) -> socket.socket:
    """The probe's socket, which it may be about to open; the last OSError once it is too late."""
    while True:
        control = socket.socket(socket.AF_UNIX)
        try:
            control.connect(path)
        except OSError:
            control.close()
            if time.monotonic() > until:
                raise
            time.sleep(INTERVAL)
        else:
            return control


def pump_in(control: socket.socket) -> None:
    """From standard input to the probe."""
    while data := os.read(0, CHUNK):
        control.sendall(data)
    control.shutdown(socket.SHUT_WR)


def write_all(data: bytes) -> None:
    """To standard output, in as many pieces as it takes."""
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    main()
