"""`dynocheck diagnose --watch` beside a rollout on the real API server."""

import io
import json
import os
import pty
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from dynocheck import kube
from dynocheck.cli import main
from dynocheck.commands._rollout import LiveView
from dynocheck.kube.changes import ChangeWatch
from dynocheck.probes.symptom.objects import WATCHED
from tests.clusters.objects import make_object
from tests.command import interrupt, run_inside, start
from tests.controlplane.processes import free_port
from tests.controlplane.server import HOST
from tests.diagnosis.conftest import diagnose, list_problems
from tests.diagnosis.stage import POD, Stage, running, unscheduled, waiting
from tests.diagnosis.test_diagnose import run_later

UNPLACED = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."


def patch_pod(stage: Stage, status: object) -> None:
    stage.cluster.patch_status(make_object("Pod", POD, stage.namespace, status=status))


def test_it_shows_each_change_and_ends_when_the_graph_serves(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.deploy(ready=False, node=None, phase="Pending", status=unscheduled(UNPLACED))
    with run_later(1.5, stage.mend):
        code, verdicts = diagnose(stage, "--watch", "--wait", "60s")
    told = capsys.readouterr().err
    assert (code, list_problems(verdicts)) == (0, [])
    lines = [re.sub(r"^\S+ ", "", line) for line in told.splitlines()]
    assert f"{POD}: has no node" in lines
    assert f"{POD}: ready" in lines
    assert lines.index("DynamoGraphDeployment chat: pending") < lines.index(
        "DynamoGraphDeployment chat: successful"
    )
    assert [line for line in lines if line.startswith("because: ") and "nvidia.com/gpu" in line]
    assert len(lines) == len({*lines})  # a line each time that something changes, and no more


def test_it_ends_when_the_time_is_over(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.deploy(ready=False, status=waiting("ErrImagePull", "no such host"))
    begun = time.monotonic()
    code, verdicts = diagnose(stage, "--watch", "--wait", "2s")
    assert code == 1
    assert [check for check, _ in list_problems(verdicts)] == ["symptom.image"]
    assert time.monotonic() - begun < 30
    assert "main ErrImagePull" in capsys.readouterr().err


def test_a_server_that_never_answers_ends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, server = tmp_path / "config", f"https://{HOST}:{free_port()}"
    named = [{"name": "it", "context": {"cluster": "it"}}]
    clusters = [{"name": "it", "cluster": {"server": server}}]
    file.write_text(json.dumps({"clusters": clusters, "contexts": named, "current-context": "it"}))
    assert main(["diagnose", "--watch", "--kubeconfig", str(file)]) == 3
    assert server in capsys.readouterr().out


def test_it_sees_a_change_at_once(stage: Stage) -> None:
    stage.deploy(ready=False, status=running(5, ready=False))
    connection = kube.find_connection(str(stage.cluster.kubeconfig(namespace=stage.namespace)), None, None)
    with ChangeWatch(kube.Cluster(connection, timeout_s=60), stage.namespace, WATCHED) as changes:
        assert not changes.wait(2.0)
        patch_pod(stage, running(5, ready=True))
        begun = time.monotonic()
        assert changes.wait(20.0)
        assert time.monotonic() - begun < 10
        stage.tell("Pod", POD, "Pulling", "Pulling image", normal=True)
        assert changes.wait(20.0)
        assert changes.unwatched == {}


def test_what_may_not_be_watched_is_looked_at_often(stage: Stage) -> None:
    stage.deploy(ready=False, status=running(5, ready=False))
    kinds = ["pods", "events", "deployments", "dynamographdeployments", "persistentvolumeclaims"]
    rules = [{"apiGroups": ["*"], "resources": kinds, "verbs": ["list"]}]
    user = stage.cluster.user("lister", rules=rules, namespace=stage.namespace)
    config = str(stage.cluster.kubeconfig(user, namespace=stage.namespace))
    connection = kube.find_connection(config, None, None)
    with ChangeWatch(kube.Cluster(connection, timeout_s=60), stage.namespace, WATCHED) as changes:
        deadline = time.monotonic() + 20
        while "pods" not in changes.unwatched and time.monotonic() < deadline:
            time.sleep(0.1)
        assert "pods" in changes.unwatched


def test_the_printed_role_is_enough_to_watch(stage: Stage) -> None:
    stage.deploy(ready=False, status=running(5, ready=False))
    printed = [*yaml.safe_load_all(run_inside("rbac", "--diagnose").out)]
    rules = next(role["rules"] for role in printed if role["kind"] == "Role")
    user = stage.cluster.user("follower", rules=rules, namespace=stage.namespace)
    config = str(stage.cluster.kubeconfig(user, namespace=stage.namespace))
    connection = kube.find_connection(config, None, None)
    with ChangeWatch(kube.Cluster(connection, timeout_s=60), stage.namespace, WATCHED) as changes:
        assert not changes.wait(2.0)
        patch_pod(stage, running(5, ready=True))
        assert changes.wait(20.0)
        assert changes.unwatched == {}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_what_is_known(stage: Stage, number: signal.Signals) -> None:
    stage.deploy(ready=False, node=None, phase="Pending", status=unscheduled(UNPLACED))
    config = stage.cluster.kubeconfig(namespace=stage.namespace)
    with start("diagnose", "--watch", "--kubeconfig", config) as process:
        assert process.stderr is not None
        while "because:" not in (line := process.stderr.readline()):
            assert line
        ended = interrupt(process, number)
    assert "nvidia.com/gpu" in ended.out


def test_a_terminal_is_drawn_anew() -> None:
    screen, terminal = pty.openpty()
    with os.fdopen(terminal, "w", encoding="utf-8") as stream:
        view = LiveView(stream)
        view.show(["Deployment chat: 0 of 1 ready", "  chat-0: has no node"])
        view.show(["Deployment chat: 1 of 1 ready"])
        view.clear()
    told = ""
    with suppress(OSError):  # what is left is read, then the other end is closed
        while chunk := os.read(screen, 4096):
            told += chunk.decode()
    os.close(screen)
    assert told.count("\x1b[2A\x1b[J") == 1
    assert told.endswith("Deployment chat: 1 of 1 ready\r\n\x1b[1A\x1b[J")


def test_no_secret_is_shown_on_the_way() -> None:
    stream = io.StringIO()
    token = "hf_" + "bWFkZXVwZm9ydGVzdHM" + "QqZzXxWw"
    LiveView(stream).show([f"because: KeyError: {token}", f"because: HF_TOKEN={token[3:]}"])
    assert token[3:] not in stream.getvalue()
    assert "[hidden]" in stream.getvalue()
