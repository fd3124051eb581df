"""What pods said, as the API server gets it from the kubelet of their node."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.controlplane.certs import Authority
from tests.controlplane.server import HOST


def serve_logs(folder: Path) -> ThreadingHTTPServer:
    """Serve `NAMESPACE_POD.log` of a folder as containerLogs, all of a kubelet that is needed."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _, _, namespace, pod, _ = self.path.partition("?")[0].split("/")
            body = (folder / f"{namespace}_{pod}.log").read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    context = Authority().issue("kubelet", hosts=[HOST]).serving(folder)
    server = ThreadingHTTPServer((HOST, 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,)).start()
    return server
