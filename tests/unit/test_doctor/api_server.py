"""An API server that serves lists of objects over HTTP on this machine, and notes each request."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

Object = dict[str, Any]


@dataclass
class ApiServer:
    """What it answers.

    Attributes:
        lists: The objects by the path of their collection; other paths do not exist.
        refused: The status of refusals by path.
        silent: Paths that are never answered, until the server ends.
        asked: The requests, method and path with query.
    """

    lists: Mapping[str, list[Object]] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    silent: tuple[str, ...] = ()
    asked: list[tuple[str, str]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def kubeconfig(self, folder: Path) -> Path:
        path = folder / "kubeconfig"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "staging",
            "clusters": [{"name": "staging", "cluster": {"server": self.url}}],
            "users": [{"name": "me", "user": {}}],
            "contexts": [{"name": "staging", "context": {"cluster": "staging", "user": "me"}}],
        }
        path.write_text(yaml.safe_dump(content))
        return path

    def answer(self, target: str) -> tuple[int, Object]:
        url = urlsplit(target)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if url.path == "/version":
            return 200, {"gitVersion": "v1.34.4"}
        if status := self.refused.get(url.path):
            return status, {"kind": "Status", "message": f"{url.path.rpartition('/')[2]} is forbidden"}
        if url.path in self.lists:
            return 200, _page(self.lists[url.path], query)
        collection, _, name = url.path.rpartition("/")
        for one in self.lists.get(collection, ()):
            if one["metadata"]["name"] == name:
                return 200, one
        return 404, {"kind": "Status", "message": "not found"}


def _page(objects: list[Object], query: Mapping[str, str]) -> Object:
    name = query.get("fieldSelector", "").removeprefix("metadata.name=")
    chosen = [one for one in objects if not name or one["metadata"]["name"] == name]
    start, most = int(query.get("continue", 0)), int(query.get("limit", 500))
    more = str(start + most) if start + most < len(chosen) else ""
    return {"items": chosen[start : start + most], "metadata": {"resourceVersion": "1", "continue": more}}


@contextmanager
def serving(server: ApiServer) -> Iterator[ApiServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append(("GET", self.path))
            if urlsplit(self.path).path in server.silent:
                server.ended.wait()
                return
            status, content = server.answer(self.path)
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Leave the terminal alone."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        http.shutdown()
        thread.join()
        http.server_close()
