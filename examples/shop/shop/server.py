"""The shop: ``GET /orders/N`` answers with order N; it needs only the standard library."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def order(number: int) -> dict[str, object]:
    """The order with this number; ValueError if there is none."""
    if number < 1:
        raise ValueError(f"there is no order {number}: the first is 1")
    return {"number": number, "state": "shipped"}


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        try:
            content, status = order(int(self.path.removeprefix("/orders/"))), 200
        except ValueError as error:
            content, status = {"error": str(error)}, 404
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("", int(sys.argv[1])), Handler).serve_forever()
