"""A server that answers as the API server did when a pod that really broke was recorded.

The moments in a recording are moved, so that it was taken just now.
"""

import datetime
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.controlplane import access
from tests.controlplane.access import User

_MOMENT = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_LOG = re.compile(r"/api/v1/namespaces/[^/]+/pods/([^/]+)/log")
_NODE = {"metadata": {"name": "node-1"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
_EMPTY = ("statefulsets", "jobs", "persistentvolumeclaims")


@contextmanager
def replay(file: Path, folder: Path) -> Iterator[Path]:
    """Serve a recording, and give the kubeconfig by which it is reached."""
    recording = json.loads(_move(file.read_text()))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = _answer(recording, self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body or b"{}")))
            self.end_headers()
            self.wfile.write(body or b"{}")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    config = folder / "kubeconfig"
    url = f"http://127.0.0.1:{server.server_address[1]}"
    config.write_text(access.kubeconfig(User("reader", token="token"), url, b"", file.stem, {}))
    try:
        yield config
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _move(text: str) -> str:
    last = max(map(datetime.datetime.fromisoformat, _MOMENT.findall(text)))
    since = datetime.datetime.now(datetime.UTC) - last

    def move(match: re.Match[str]) -> str:
        moment = datetime.datetime.fromisoformat(match[0]) + since
        return moment.isoformat(timespec="seconds").replace("+00:00", "Z")

    return _MOMENT.sub(move, text)


def _answer(recording: dict[str, Any], target: str) -> bytes | None:
    """The log or the list that is asked for; None for a kind that is not served."""
    path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
    if log := _LOG.fullmatch(path):
        previous = "/previous" if query["previous"] == ["true"] else ""
        said: str = recording["logs"].get(f"{log[1]}/{query['container'][0]}{previous}", "")
        return said.encode()
    resource = path.rpartition("/")[2]
    nodes = {"nodes": [_NODE], **dict.fromkeys(_EMPTY, ())}
    items = recording.get(resource, nodes.get(resource))
    if items is None:
        return None
    return json.dumps({"kind": "ThingList", "metadata": {}, "items": items}).encode()
