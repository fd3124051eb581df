"""`dynocheck load --in-cluster` against a real API server; tests/node/test_loads.py has pods that run."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.checks.manifests import claim, dump_objects
from tests.clusters import platform
from tests.command import CommandResult, dynocheck, interrupt, run_inside, start, until
from tests.controlplane.access import User
from tests.controlplane.server import ControlPlane
from tests.smoke.test_deployment import graph

SMALL = ("--requests", "12", "--isl", "32", "--osl", "8", "--warmup", "2", "--concurrency", "6")
IMAGE = ("--image", "registry.example/dynocheck:1")
MODEL_ID = "Qwen/Qwen3-0.6B"


@pytest.fixture(scope="module")
def typed(controlplane: ControlPlane, crds: Path) -> Iterator[None]:
    yield from controlplane.share(*(crds / folder for folder in platform.CRDS))


@pytest.fixture
def namespace(typed: None, cluster: ControlPlane) -> str:
    """One with a deployment, in a cluster that enforces the strictest of the standards for pods."""
    made = cluster.namespace()
    enforce = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": made, "labels": enforce}},
        graph("chat", made),
    )
    return made


def rules() -> list[dict[str, Any]]:
    (role,) = yaml.safe_load_all(run_inside("rbac", "--load").out)
    granted: list[dict[str, Any]] = role["rules"]
    return granted


def load(
    cluster: ControlPlane, namespace: str, *more: str | Path, config: Path | None = None
) -> CommandResult:
    reached = ("--kubeconfig", config or cluster.kubeconfig(), "-n", namespace)
    return dynocheck("load", *reached, *SMALL, *IMAGE, "--in-cluster", *more)


def left(cluster: ControlPlane, namespace: str) -> list[str]:
    """The Jobs and Services that are still there."""
    paths = (f"/apis/batch/v1/namespaces/{namespace}/jobs", f"/api/v1/namespaces/{namespace}/services")
    return [item["metadata"]["name"] for path in paths for item in cluster.get(path)["items"]]


@contextmanager
def running(
    cluster: ControlPlane, namespace: str, user: User | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A load test whose pods never run, since no node is there."""
    reached = ("--kubeconfig", cluster.kubeconfig(user), "-n", namespace)
    with start("load", *reached, "--url", "http://h:1", "--in-cluster", "--apply", *IMAGE) as process:
        until(lambda: len(left(cluster, namespace)) == 2)
        yield process


def test_who_may_not_make_a_job_is_told_so(cluster: ControlPlane, namespace: str) -> None:
    stranger = cluster.kubeconfig(cluster.user("stranger"))
    ended = load(cluster, namespace, "--url", "http://h:1", "--apply", "-o", "json", config=stranger)
    assert (ended.code, set(ended.outcomes.values())) == (3, {"unknown"})
    assert "cannot create resource" in ended.findings("load.errors")[0]["message"]
    ended = load(cluster, namespace, "chat", config=stranger)
    assert (ended.code, "cannot list resource" in ended.err) == (2, True)


def test_what_cannot_be_deleted_is_said(cluster: ControlPlane, namespace: str) -> None:
    makers = [{**rule, "verbs": [verb for verb in rule["verbs"] if verb != "delete"]} for rule in rules()]
    user = cluster.user("maker", rules=makers, namespace=namespace)
    with running(cluster, namespace, user) as process:
        ended = interrupt(process)
    (name,) = set(left(cluster, namespace))
    assert f"kubectl -n {namespace} delete job {name}" in ended.err
    assert f"kubectl -n {namespace} delete service {name}" in ended.err


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_ended_from_outside_it_takes_the_job_with_it(
    cluster: ControlPlane, namespace: str, by: signal.Signals
) -> None:
    with running(cluster, namespace) as process:
        interrupt(process, by)
    assert left(cluster, namespace) == []


@pytest.mark.parametrize("way", ["in-cluster", "as-aiperf"])
def test_the_server_takes_it_as_it_stands(
    cluster: ControlPlane, namespace: str, tmp_path: Path, way: str
) -> None:
    """Strictly, in a namespace of restricted pods; and beside a graph our own checks find nothing wrong."""
    results = claim("ReadWriteOnce", size="1Gi", name="results")
    results["spec"]["storageClassName"] = "fast"
    more = IMAGE if way == "in-cluster" else ("--claim", "results", "--model", MODEL_ID)
    (tmp_path / "deploy.yaml").write_text(dump_objects(graph("chat", namespace), results))
    file = tmp_path / "perf.yaml"
    url = ("--url", "http://chat-frontend:8000", "-n", namespace, "--api-key-secret", "keys/api")
    ended = run_inside("load", f"--{way}", *SMALL, *url, *more, "--manifest", file)
    assert (ended.code, ended.err) == (0, "")
    dry = cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(file))
    assert (dry.returncode, dry.stderr) == (0, "")

    report = run_inside("recipe", tmp_path, "-o", "json")
    assert report.outcomes["manifest.schema"] == "pass"
    if way == "as-aiperf":
        kept = ("perf.bounded", "perf.tool-pinned", "perf.artifacts")
        assert [report.outcomes[check] for check in kept] == ["pass", "pass", "pass"]
    found = [finding for verdict in report.report["verdicts"] for finding in verdict["findings"]]
    wrong = [each for each in found if each["outcome"] in ("fail", "warn")]
    assert [each for each in wrong if (each["location"] or {}).get("file", "").endswith("perf.yaml")] == []
