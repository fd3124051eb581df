"""A Job that is run by the official client, on servers and networks that are not at their best."""

import json
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from dynocheck.facts import Unavailable
from dynocheck.kube import job_pods, jobs
from dynocheck.kube.errors import KubeError
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
COMPLETE, GAVE_UP = {"type": "Complete"}, {"type": "FailureTarget", "reason": "BackoffLimitExceeded"}
FINE = {"metadata": {"name": "load-0"}, "status": {"phase": "Succeeded"}}


class Server:
    """Plays an API server whose Job has one pod, and ends.

    :param watch: what it answers to a watch of the Job; None breaks the connection.
    :param pods: the pod at each look, of which the last finds the end.
    :param end: the condition that the Job then has.
    """

    def __init__(
        self,
        watch: bytes | None,
        *,
        created: int = 201,
        pods: Sequence[dict[str, Any] | None] = (FINE, FINE),
        end: dict[str, str] = COMPLETE,
    ) -> None:
        self.watch, self.created, self.pods, self.end = watch, created, pods, end
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
            pod = self.pods[len(self.looked) - 1]
            items = [] if pod is None else [pod]
            return reply(200, {"kind": "PodList", "apiVersion": "v1", "items": items})
        if request.path == f"{JOBS}/load":
            self.looked.append(time.monotonic())
        return reply(200, {**JOB, "metadata": {**META, "uid": "u", "resourceVersion": "1"}, **self._status()})

    def _status(self) -> dict[str, Any]:
        over = len(self.looked) >= len(self.pods)
        return {"status": {"conditions": [{**self.end, "status": "True"}]} if over else {}}

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


@pytest.fixture
def heeding() -> Iterator[None]:
    """Ctrl-C, to which background jobs of a shell are deaf."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_at(moment: int) -> Callable[[FrameType, str, Any], Any]:
    """A trace function that sends Ctrl-C before this instruction of the main thread."""
    left = moment

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        frame.f_trace_opcodes = True
        left -= event == "opcode"
        if left == 0:
            sys.settrace(None)
            signal.raise_signal(signal.SIGINT)
        return trace

    return trace


MOMENTS = random.Random(3).sample(range(1, 16_000), 400)  # a run has about 17,000 instructions


@pytest.mark.usefixtures("heeding")
@pytest.mark.parametrize("moments", [MOMENTS[:8], pytest.param(MOMENTS, marks=pytest.mark.verify)])
def test_interrupted_at_any_moment_it_leaves_nothing(tmp_path: Path, moments: Sequence[int]) -> None:
    cut_short = 0
    for moment in moments:
        server = Server(reply(200, CHANGED), pods=(FINE, FINE, FINE))
        with serve(server) as api:
            runner = JobRunner(api.cluster(tmp_path), JOB, SERVICE, print)
            sys.settrace(interrupt_at(moment))
            try:
                with runner.create():
                    runner.collect_logs(30, print)
            except KeyboardInterrupt:
                cut_short += 1
            finally:
                sys.settrace(None)
        methods = Counter(line.partition(" ")[0] for line in server.saw)
        assert methods["POST"] == methods["DELETE"], moment
    assert cut_short > len(moments) / 2


@pytest.mark.usefixtures("heeding")
def test_an_interrupt_waits_for_what_is_being_created(tmp_path: Path) -> None:
    server = Server(reply(200, CHANGED))

    def answer_late(request: Request, connection: object) -> bytes | None:
        if request.method == "POST":
            signal.raise_signal(signal.SIGINT)
            time.sleep(0.3)
        return server(request, connection)

    said: list[str] = []
    with serve(answer_late) as api:
        runner = JobRunner(api.cluster(tmp_path), JOB, SERVICE, said.append)
        with pytest.raises(KeyboardInterrupt), runner.create():
            pass
    assert said[-1] == "deleted Job default/load"


def pod(
    *, deleted: str | None = None, condition: dict[str, str] | None = None, **state: Any
) -> dict[str, Any]:
    metadata = {"name": "load-0", "deletionTimestamp": deleted}
    status = {"phase": "Pending", "containerStatuses": [{"state": state}], "conditions": []}
    return {"metadata": metadata, "status": {**status, "conditions": [condition] if condition else []}}


NO_IMAGE = pod(waiting={"reason": "ErrImagePull", "message": "connection refused"})
BACK_OFF = pod(waiting={"reason": "ImagePullBackOff", "message": "Back-off pulling image"})
EVICTED = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
KILLED = {"exitCode": 137, "reason": "Error"}


def test_an_image_that_comes_at_the_second_attempt_is_waited_for(tmp_path: Path) -> None:
    log, said = Server(reply(200, CHANGED), pods=[NO_IMAGE, BACK_OFF, FINE]).run(tmp_path)
    assert log == '{"what": "it said"}'
    assert "0 of 1 pods running, load-0: ErrImagePull: connection refused" in said


def test_an_image_that_never_comes_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_pods, "_RETRIED_S", 0.1)
    server = Server(reply(200, CHANGED), pods=[NO_IMAGE, *[BACK_OFF] * 99])
    with pytest.raises(Unavailable, match="did not finish; load-0: ImagePullBackOff: Back-off"):
        server.run(tmp_path)
    assert f"DELETE {JOBS}/load" in server.saw


@pytest.mark.parametrize(
    ("pods", "says"),
    [
        (
            [pod(terminated={"exitCode": 2, "reason": "Error"})],
            r'load-0: Error: exit code 2; {"what": "it said"}$',
        ),
        ([pod(terminated={**KILLED, "reason": "OOMKilled"})], "load-0: OOMKilled: exit code 137; "),
        ([pod(deleted="now", condition=EVICTED, terminated=KILLED)], "load-0: EvictionByEvictionAPI$"),
        ([NO_IMAGE, pod(deleted="now", terminated=KILLED)], "load-0: ErrImagePull: connection refused$"),
        ([pod(running={}), pod(deleted="now", terminated=KILLED)], "load-0: deleted$"),
        ([pod(running={}), None], "load-0: deleted$"),
    ],
    ids=["error", "out of memory", "evicted", "deleted for want of an image", "deleted", "gone"],
)
def test_a_pod_that_does_not_end_well_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pods: list[dict[str, Any] | None], says: str
) -> None:
    monkeypatch.setattr(jobs, "_DEBOUNCE_S", 0)
    server = Server(reply(200, CHANGED), pods=pods, end=GAVE_UP)
    with pytest.raises(Unavailable, match=f"^the Job failed: BackoffLimitExceeded; {says}"):
        server.run(tmp_path)


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


@pytest.mark.parametrize(("refused", "left"), [(403, False), (422, False), (500, True)])
def test_a_service_that_was_refused_is_not_left(tmp_path: Path, refused: int, left: bool) -> None:
    """Nor is the user, who may not delete Services either, told to delete one."""
    said: list[str] = []

    def answer(request: Request, _: object) -> bytes:
        if "/services" in request.path:
            code = refused if request.method == "POST" else 403
            return reply(code, {"kind": "Status", "code": code, "message": "no"})
        if request.method == "DELETE":
            return reply(200, STATUS)
        return reply(201, {**JOB, "metadata": {**META, "uid": "u"}})

    with serve(answer) as server:
        runner = JobRunner(server.cluster(tmp_path, timeout_s=5), JOB, SERVICE, said.append)
        with pytest.raises(KubeError), runner.create():
            pass
    assert any(line.startswith("left Service") for line in said) is left
    assert said[-1] == "deleted Job default/load"
