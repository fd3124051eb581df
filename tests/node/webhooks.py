"""The webhooks of Dynamo's operator, as far as an API server needs them; it runs in a pod of its own.

Every request is admitted as it is. A conversion changes the version alone.
"""

import json
import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PORT = 9443


def _answer(review: dict[str, Any]) -> dict[str, Any]:
    request = review["request"]
    if review["kind"] != "ConversionReview":
        return {"uid": request["uid"], "allowed": True}
    converted = [{**item, "apiVersion": request["desiredAPIVersion"]} for item in request["objects"]]
    return {"uid": request["uid"], "convertedObjects": converted, "result": {"status": "Success"}}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._send({})

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._send({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": _answer(review)})

    def _send(self, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/certificate/tls.crt", "/certificate/tls.key")
    server = ThreadingHTTPServer(("", PORT), _Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()
