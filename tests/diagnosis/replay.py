"""A server that answers as the API server did when a pod that really broke was recorded.

The moments in a recording are moved, so that it was taken just now, or before its cause was mended.
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
_HOST = "node-1"
_NODE = {"metadata": {"name": _HOST}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
_MENDING_S = 300
_COUNTS = ("replicas", "readyReplicas", "availableReplicas", "updatedReplicas")
_EMPTY = ("statefulsets", "jobs", "persistentvolumeclaims")


@contextmanager
def replay(file: Path, folder: Path, *, mended: bool = False) -> Iterator[Path]:
    """Serve a recording, and give the kubeconfig by which it is reached.

    :param mended: as it would be once its cause is gone; events and logs stay.
    """
    recording = json.loads(_move(file.read_text(), seconds_ago=_MENDING_S if mended else 0))
    if mended:
        _mend(recording)

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
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
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


def _mend(recording: dict[str, Any]) -> None:
    pods = recording.setdefault("pods", [])
    for pod in pods:
        _mend_pod(pod)
    for each in [*recording.get("deployments", ()), *recording.get("replicasets", ())]:
        counts = dict.fromkeys(_COUNTS, each["spec"].get("replicas", 1))
        each["status"] = {**counts, "observedGeneration": each["metadata"]["generation"]}
    for job in recording.get("jobs", ()):
        job["status"] = {"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}
    volumes = [volume for pod in pods for volume in pod["spec"].get("volumes", ())]
    recording["persistentvolumeclaims"] = [
        {"metadata": {"name": claim["claimName"]}, "status": {"phase": "Bound"}}
        for claim in (volume.get("persistentVolumeClaim") for volume in volumes)
        if claim
    ]


def _mend_pod(pod: dict[str, Any]) -> None:
    """Let it run and be ready, as a pod that was made just now."""
    meta, spec = pod["metadata"], pod["spec"]
    meta["creationTimestamp"] = _format_time(datetime.datetime.now(datetime.UTC))
    spec["nodeName"] = _HOST
    runs = {"state": {"running": {"startedAt": meta["creationTimestamp"]}}, "started": True}
    done = {"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
    pod["status"] = {
        "phase": "Running",
        "conditions": [{"type": kind, "status": "True"} for kind in ("PodScheduled", "Ready")],
    }
    for name, containers, state in (
        ("initContainerStatuses", spec.get("initContainers", ()), done),
        ("containerStatuses", spec["containers"], runs),
    ):
        about = ({"name": c["name"], "image": c["image"], "ready": True} for c in containers)
        pod["status"][name] = [each | state for each in about]


def _move(text: str, seconds_ago: float) -> str:
    last = max(map(datetime.datetime.fromisoformat, _MOMENT.findall(text)))
    since = datetime.datetime.now(datetime.UTC) - last - datetime.timedelta(seconds=seconds_ago)

    def move(match: re.Match[str]) -> str:
        return _format_time(datetime.datetime.fromisoformat(match[0]) + since)

    return _MOMENT.sub(move, text)


def _format_time(moment: datetime.datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


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
