"""An API server that has a few recorded objects, and takes nothing."""

import json
import re
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Object = Mapping[str, Any]

REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
CORE = [{"name": "namespaces", "kind": "Namespace", "namespaced": False}]
"""What can be applied to it and deleted from it, would it take anything."""

POLL = 0.02
REQUIREMENT = re.compile(r"(?P<key>[^!=,]+)((?P<operator>!?=)(?P<value>[^,]*))?")


def recorded(path: str, name: str, *, labels: Mapping[str, str] | None = None, **content: Any) -> tuple[str, Object]:
    """An object in the list of that path."""
    return path, {"metadata": {"name": name, "labels": dict(labels or {})}, **content}


def _has(labels: Mapping[str, str], selector: str) -> bool:
    """Whether labels are as a selector says; https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/."""
    for one in REQUIREMENT.finditer(selector):
        found = labels.get(one["key"])
        equal = found == one["value"] if one["operator"] else found is not None
        if equal is (one["operator"] == "!="):
            return False
    return True


class Recorded(ThreadingHTTPServer):
    """The server, its objects, and what it was asked for that would have changed something."""

    daemon_threads = True
    request_queue_size = 128  # a run asks for all permissions at once

    def __init__(self, objects: Sequence[tuple[str, Object]], forbidden: Collection[str]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects = objects
        self.forbidden = forbidden
        self.changes: list[str] = []

    def answer(self, target: str) -> tuple[int, Object]:
        """Status and content of what is read."""
        url = urlsplit(target)
        selector = "".join(parse_qs(url.query).get("labelSelector", []))
        if url.path == "/version":
            return 200, {"gitVersion": "v1.34.4"}
        if url.path in self.forbidden:
            return 403, {"kind": "Status", "code": 403, "message": f"{url.path.rpartition('/')[2]} is forbidden"}
        if url.path == "/api/v1":
            return 200, {"resources": CORE}
        for path, one in self.objects:
            if f"{path.partition('|')[0]}/{one['metadata']['name']}" == url.path:
                return 200, one
        if re.fullmatch(r".*/(configmaps|deployments)/[^/]+|/apis/[^/]+/v\d+", url.path):
            return 404, {"kind": "Status", "code": 404}
        listed = [one for path, one in self.objects if path == url.path or path.endswith(f"|{url.path}")]
        items = [one for one in listed if _has(one["metadata"]["labels"], selector)]
        return 200, {"items": items, "metadata": {"resourceVersion": "1"}}


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: Recorded

    def do_GET(self) -> None:
        self._say(*self.server.answer(self.path))

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        if "dryRun=All" in self.path:
            self._say(201, json.loads(sent))
            return
        if self.path != REVIEW:
            self.server.changes.append(f"POST {self.path}")
        self._say(201, {"status": {"allowed": True}})

    def do_PATCH(self) -> None:
        self.server.changes.append(f"PATCH {self.path}")
        self._say(403, {})

    def do_DELETE(self) -> None:
        status, found = self.server.answer(self.path)
        is_there = status == 200 and "items" not in found
        if is_there:
            self.server.changes.append(f"DELETE {self.path}")
        self._say(403 if is_there else 404, {})

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""

    def _say(self, status: int, content: Object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def api_server(
    objects: Sequence[tuple[str, Object]], forbidden: Collection[str] = ()
) -> Iterator[tuple[str, list[str]]]:
    """The server's address and its write requests; a read of a ``forbidden`` path gets 403."""
    server = Recorded(objects, forbidden)
    thread = threading.Thread(target=server.serve_forever, args=[POLL])
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.changes
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
