"""A Hugging Face hub on loopback: the few routes that huggingface_hub asks for a model's configuration."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

COMMIT = "c" * 40
TOKEN = "hf_" + "Z" * 34  # of nobody


@dataclass(frozen=True)
class HostedModel:
    """A model of the hub: its files, of which weights are only a size, and whose token may read them."""

    files: Mapping[str, Any] = field(default_factory=dict)
    gated: str | bool = False
    allowed: tuple[str, ...] = ()
    renamed: str = ""
    silent: bool = False


@dataclass
class Hub:
    """A hub that runs; `asked` are the paths of the requests so far, with their tokens."""

    models: Mapping[str, HostedModel]
    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)


class _Handler(BaseHTTPRequestHandler):
    hub: ClassVar[Hub]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        path = self.path.partition("?")[0]
        self.hub.asked.append((path, token))
        is_api = path.startswith("/api/models/")
        owner, name, *rest = path.removeprefix("/api/models").strip("/").split("/")
        model = self.hub.models.get(f"{owner}/{name}")
        if model is None:
            self._fail(404 if token else 401, "RepoNotFound")
        elif model.silent:
            self.hub.released.wait(60)
        elif model.renamed:
            self._answer(307, b"", {"Location": self.path.replace(f"{owner}/{name}", model.renamed)})
        elif rest and rest[1] not in ("main", COMMIT):
            self._fail(404, "RevisionNotFound")
        elif is_api:
            self._describe(f"{owner}/{name}", model)
        else:
            self._serve(model, rest[2], token)

    def _describe(self, name: str, model: HostedModel) -> None:
        sizes = {
            file: what if isinstance(what, int) else len(json.dumps(what))
            for file, what in model.files.items()
        }
        siblings = [{"rfilename": file, "size": size} for file, size in sizes.items()]
        about = {"id": name, "sha": COMMIT, "gated": model.gated, "siblings": siblings}
        self._answer(200, json.dumps(about).encode(), {"Content-Type": "application/json"})

    def _serve(self, model: HostedModel, file: str, token: str) -> None:
        if model.gated and token not in model.allowed:
            self._fail(403 if token else 401, "GatedRepo")
        else:
            content = json.dumps(model.files[file]).encode()
            self._answer(200, content, {"ETag": '"0123"', "X-Repo-Commit": COMMIT})

    def _fail(self, status: int, code: str) -> None:
        self._answer(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code})

    def _answer(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        pass


@contextmanager
def serve_hub(models: Mapping[str, HostedModel]) -> Iterator[Hub]:
    hub = Hub(models)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        hub.released.set()
        server.shutdown()
        server.server_close()
