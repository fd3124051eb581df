"""A kubelet for tests: it runs the pods of a cluster as processes of this machine, and gives their logs.

It has no images: `dynocheck` is that of this checkout. Pods share this machine's address, so it plays the
cluster's DNS by putting addresses and ports where the names of Services stand in a pod's arguments; a name
whose Service is not there stays, and leads nowhere.
"""

import base64
import os
import re
import subprocess
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from tests.command import ROOT
from tests.controlplane.api import ApiError, Object
from tests.controlplane.certs import Authority
from tests.controlplane.processes import free_port
from tests.controlplane.server import HOST, ControlPlane

NODE = "node-of-processes"
_FIELD = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")


class Kubelet:
    """One node and what runs on it, while a `with` block lasts.

    :param refuse: names of images that cannot be pulled, by the reason that a kubelet tells.
    :param broken: an image whose processes end at once, with exit code 7.
    """

    def __init__(
        self,
        cluster: ControlPlane,
        folder: Path,
        *,
        refuse: dict[str, str] | None = None,
        broken: str | None = None,
    ) -> None:
        self._cluster, self._folder, self._refuse, self._broken = cluster, folder, refuse or {}, broken
        self._running: dict[str, tuple[Object, subprocess.Popen[bytes]]] = {}
        self._over = threading.Event()
        self._ports: dict[str, int] = {}
        self.commands: list[list[str]] = []

    def __enter__(self) -> Self:
        self._logs = serve_logs(self._folder)
        port = self._logs.server_address[1]
        addresses = [{"type": "InternalIP", "address": HOST}]
        self._cluster.node(NODE, addresses=addresses, daemonEndpoints={"kubeletEndpoint": {"Port": port}})
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._stop_all_but(set())
        self._logs.shutdown()
        self._logs.server_close()

    def _work(self) -> None:
        while not self._over.wait(0.1):
            with suppress(ApiError):  # somebody else changed or deleted it meanwhile
                pods = self._cluster.get("/api/v1/pods")["items"]
                self._stop_all_but({pod["metadata"]["uid"] for pod in pods})
                for pod in pods:
                    self._look_at(pod)

    def _look_at(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        if pod["status"].get("phase", "Pending") == "Pending" and uid not in self._running:
            if "nodeName" not in pod["spec"]:
                target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
                binding = {
                    "apiVersion": "v1",
                    "kind": "Binding",
                    "metadata": {"name": pod["metadata"]["name"]},
                }
                self._cluster.request("POST", f"{_path(pod)}/binding", {**binding, "target": target})
            elif reason := self._refuse.get(pod["spec"]["containers"][0]["image"]):
                self._report(pod, "Pending", {"waiting": {"reason": reason, "message": "no such image"}})
            else:
                self._running[uid] = pod, self._start(pod)
                self._report(pod, "Running", {"running": {}})
        elif pod["status"].get("phase") == "Running" and uid in self._running:
            self._look_for_its_end(pod, self._running[uid][1].poll())

    def _look_for_its_end(self, pod: Object, code: int | None) -> None:
        if code is not None:
            ended = {"exitCode": code, "reason": "Error" if code else "Completed"}
            self._report(pod, "Failed" if code else "Succeeded", {"terminated": ended})

    def _start(self, pod: Object) -> subprocess.Popen[bytes]:
        container = pod["spec"]["containers"][0]
        env = {each["name"]: self._value(pod, each) for each in container.get("env", ())}
        given = (_expanded(word, env) for word in (*container["command"], *container["args"]))
        words = [self._resolved(pod, word) for word in given]
        assert words[0] == "dynocheck"
        self.commands.append(words)
        command = ("-c", "exit(7)") if container["image"] == self._broken else ("-m", *words)
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **env}
        with get_log_file(self._folder, pod["metadata"]["namespace"], pod["metadata"]["name"]).open(
            "wb"
        ) as log:
            streams: Any = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            return subprocess.Popen([sys.executable, *command], cwd=ROOT, env=env, **streams)

    def _value(self, pod: Object, variable: Object) -> str:
        source = variable.get("valueFrom", {})
        if field := source.get("fieldRef"):
            found = _FIELD.fullmatch(field["fieldPath"])
            assert found is not None
            value: str = pod["metadata"][found[1]][found[2]]
            return value
        if secret := source.get("secretKeyRef"):
            namespace = pod["metadata"]["namespace"]
            held = self._cluster.get(f"/api/v1/namespaces/{namespace}/secrets/{secret['name']}")
            return base64.b64decode(held["data"][secret["key"]]).decode()
        return str(variable.get("value", ""))

    def _resolved(self, pod: Object, word: str) -> str:
        namespace = pod["metadata"]["namespace"]
        for service in self._cluster.get(f"/api/v1/namespaces/{namespace}/services")["items"]:
            name, spec = service["metadata"]["name"], service["spec"]
            for port in spec["ports"]:
                if spec["clusterIP"] != "None":
                    there = f"{_own_address(self._cluster, namespace, name)}:{port['targetPort']}"
                    word = word.replace(f"{name}.{namespace}.svc:{port['port']}", there)
                elif spec["selector"].items() <= pod["metadata"]["labels"].items():
                    own = self._ports.setdefault(name, free_port())
                    word = word.replace(f"{name}-0.{name}:{port['port']}", f"{HOST}:{own}")
        return word

    def _report(self, pod: Object, phase: str, state: Object) -> None:
        container = {"name": pod["spec"]["containers"][0]["name"], "image": "i", "imageID": "i"}
        container |= {"ready": phase == "Running", "restartCount": 0, "state": state}
        status = {"phase": phase, "containerStatuses": [container]}
        self._cluster.patch_status({"apiVersion": "v1", "kind": "Pod", **pod, "status": status})

    def _stop_all_but(self, there: set[str]) -> None:
        for uid in self._running.keys() - there:
            process = self._running.pop(uid)[1]
            process.kill()
            process.wait()


def _own_address(cluster: ControlPlane, namespace: str, service: str) -> str:
    found = cluster.get(f"/api/v1/namespaces/{namespace}/endpoints/{service}")
    address: str = found["subsets"][0]["addresses"][0]["ip"]
    return address


def _expanded(word: str, env: dict[str, str]) -> str:
    """As a kubelet does it: what names no variable stays."""
    return re.sub(r"\$\((\w+)\)", lambda found: env.get(found[1], found[0]), word)


def _path(pod: Object) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def get_log_file(folder: Path, namespace: str, name: str) -> Path:
    return folder / f"{namespace}_{name}.log"


def serve_logs(folder: Path) -> ThreadingHTTPServer:
    """The one endpoint of a kubelet that is needed: containerLogs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _, _, namespace, pod, _ = self.path.partition("?")[0].split("/")
            body = get_log_file(folder, namespace, pod).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    context = Authority().issue("kubelet", hosts=[HOST]).serving(folder)
    server = ThreadingHTTPServer((HOST, 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever).start()
    return server
