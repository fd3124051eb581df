"""A Job that is run by the official client, on servers and networks that are not at their best."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from dynocheck.facts import Unavailable
from dynocheck.kube.jobs import JobRunner
from tests.kube.servers import Request, reply, serve

JOBS, PODS = "/apis/batch/v1/namespaces/default/jobs", "/api/v1/namespaces/default/pods"
META = {"name": "load", "namespace": "default"}
POD = {"containers": [{"name": "load", "image": "i"}]}
JOB = {"apiVersion": "batch/v1", "kind": "Job", "metadata": META, "spec": {"template": {"spec": POD}}}
SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": META}
CHANGED = json.dumps({"type": "MODIFIED", "object": {"kind": "Job", "metadata": META}}) + "\n"
EXPIRED = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "old"}}
STATUS = {"kind": "Status"}


class Server:
    """Plays an API server whose Job is complete at the second look at it.

    :param watch: what it answers to a watch of the Job; None breaks the connection.
    """

    def __init__(self, watch: bytes | None, *, created: int = 201) -> None:
        self.watch, self.created = watch, created
        self.looked: list[float] = []
        self.saw: list[str] = []

    def __call__(self, request: Request, _: object) -> bytes | None:
        self.saw.append(f"{request.method} {request.path}")
        if request.method == "POST":
            return reply(self.created, {**json.loads(request.body), "kind": "Job"})
        if request.method == "DELETE":
            return reply(200, STATUS)
        if "watch=" in request.target.lower():
            return self.watch
        if request.path == f"{PODS}/load-0/log":
            return reply(200, '{"what": "it said"}', "text/plain")
        if request.path == PODS:
            pod = {"metadata": {"name": "load-0"}, "status": {"phase": "Succeeded"}}
            return reply(200, {"kind": "PodList", "apiVersion": "v1", "items": [pod]})
        if request.path == f"{JOBS}/load":
            self.looked.append(time.monotonic())
        return reply(200, {**JOB, "metadata": {**META, "uid": "u", "resourceVersion": "1"}, **self._status()})

    def _status(self) -> dict[str, Any]:
        done = {"type": "Complete", "status": "True"}
        return {"status": {"conditions": [done]} if len(self.looked) > 1 else {}}

    def run(self, folder: Path) -> tuple[str, list[str]]:
        said: list[str] = []
        with serve(self) as server:
            runner = JobRunner(server.cluster(folder, timeout_s=5), JOB, SERVICE, said.append)
            with runner.create():
                return runner.collect_logs(30, said.append), said


def test_it_looks_again_when_the_job_changes(tmp_path: Path) -> None:
    server = Server(reply(200, CHANGED))
    log, said = server.run(tmp_path)
    assert log == '{"what": "it said"}'
    assert said[:3] == ["created Job default/load", "created Service default/load", "1 of 1 pods running"]
    first, second = server.looked
    assert second - first < 1.5
    assert server.saw[-2:] == ["DELETE /api/v1/namespaces/default/services/load", f"DELETE {JOBS}/load"]


@pytest.mark.parametrize(
    "watch",
    [
        None,
        reply(403, STATUS),
        reply(200, "no event\n"),
        reply(200, json.dumps(EXPIRED) + "\n"),
        reply(200, ""),
    ],
    ids=["broken", "forbidden", "garbled", "expired", "empty"],
)
def test_without_a_watch_it_looks_now_and_then(tmp_path: Path, watch: bytes | None) -> None:
    server = Server(watch)
    log, _ = server.run(tmp_path)
    assert log == '{"what": "it said"}'
    first, second = server.looked
    assert second - first > 1.5


def test_what_was_created_twice_is_its_own(tmp_path: Path) -> None:
    """The connection broke under the first request, which had been taken."""
    server = Server(reply(200, CHANGED), created=409)
    _, said = server.run(tmp_path)
    assert said[:2] == ["created Job default/load", "created Service default/load"]


def test_a_login_page_is_no_job(tmp_path: Path) -> None:
    with serve(reply(200, "<html>", "text/html")) as server:
        runner = JobRunner(server.cluster(tmp_path), JOB, SERVICE, print)
        unlike = pytest.raises(Unavailable, match=f"{JOBS}: not a Kubernetes API response: text/html")
        with unlike, runner.create():
            pass
