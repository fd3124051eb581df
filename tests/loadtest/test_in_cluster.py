"""`dynocheck load --in-cluster` against a real API server, its Job controller and a real Dynamo."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.checks.manifests import claim, dump_objects
from tests.clusters import platform
from tests.command import CommandResult, dynocheck, interrupt, run_inside, start, until
from tests.controlplane.kubelet import Kubelet
from tests.controlplane.server import ControlPlane
from tests.dynamo.server import MODEL, Dynamo
from tests.smoke.test_deployment import apply_service, graph, own_address

SMALL = ("--requests", "12", "--isl", "32", "--osl", "8", "--warmup", "2", "--concurrency", "6")
IMAGE = ("--image", "registry.example/dynocheck:1")
MODEL_ID = "Qwen/Qwen3-0.6B"


@pytest.fixture(scope="module")
def typed(controlplane: ControlPlane, crds: Path) -> Iterator[None]:
    yield from controlplane.share(*(crds / folder for folder in platform.CRDS))


@pytest.fixture
def namespace(typed: None, cluster: ControlPlane, dynamo: Dynamo) -> str:
    """One with a deployment, in a cluster that enforces the strictest of the standards for pods."""
    made = cluster.namespace()
    enforce = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": made, "labels": enforce}},
        graph("chat", made),
    )
    return made


def behind(cluster: ControlPlane, namespace: str, dynamo: Dynamo) -> None:
    """A Service of the frontend, without the pod behind it, which would have to be as strict."""
    apply_service(cluster, "chat-frontend", namespace, dynamo.port, {"ip": own_address()})


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
    names = [item["metadata"]["name"] for path in paths for item in cluster.get(path)["items"]]
    return [name for name in names if name != "chat-frontend"]


def test_pods_share_a_load_and_their_results_are_one_report(
    cluster: ControlPlane, namespace: str, dynamo: Dynamo, tmp_path: Path
) -> None:
    cluster.apply(graph("chat", namespace, limits="error_rate=0, requests_per_s=few"))
    behind(cluster, namespace, dynamo)
    cluster.start_controller_manager()
    saved = tmp_path / "run.json"
    user = cluster.user("loader", rules=rules(), namespace=namespace)
    with Kubelet(cluster, tmp_path) as kubelet:
        ended = load(
            *(cluster, namespace, "chat", "--apply", "--parallelism", "3", "--save", saved, "-o", "json"),
            config=cluster.kubeconfig(user),
        )
    assert ended.outcomes["load.errors"] == "pass", ended.err
    assert ended.row("load.requests").items() >= {"sent": 12, "ok": 12, "failed": 0}.items()
    target = ended.report["target"]
    assert (target["model"], target["way"]) == (MODEL, f"3 pods of namespace {namespace}")
    assert target["url"] == f"http://chat-frontend.{namespace}.svc:8000"
    assert len(kubelet.commands) == 3
    assert left(cluster, namespace) == []
    told = [line.partition(" ")[0] for line in ended.err.splitlines()]
    assert [word for word in told if word != "looking"] == ["created"] * 2 + ["deleted"] * 2
    who = f"dynocheck.dev/limits of DynamoGraphDeployment {namespace}/chat"
    assert target["limits"] == [f"error_rate=0 ({who})"]
    assert ended.outcomes["load.limits"] == "unknown"
    assert f"{who}: requests_per_s=few: " in ended.findings("load.limits")[0]["message"]
    again = dynocheck("load", "--from", saved, "-o", "json", "--limit", "error_rate=0")
    assert again.report["tables"] == ended.report["tables"]
    assert again.report["target"]["limits"] == ["error_rate=0 (--limit)"]


def test_applied_by_hand_and_read_from_the_logs(
    cluster: ControlPlane, namespace: str, dynamo: Dynamo, tmp_path: Path
) -> None:
    behind(cluster, namespace, dynamo)
    file = tmp_path / "job.yaml"
    assert load(cluster, namespace, "chat", "--manifest", file).code == 0
    (job, _) = yaml.safe_load_all(file.read_text())
    name = job["metadata"]["name"]
    cluster.start_controller_manager()
    with Kubelet(cluster, tmp_path):
        applied = cluster.kubectl("apply", "-f", str(file))
        assert applied.returncode == 0, applied.stderr
        done = cluster.kubectl(
            "-n", namespace, "wait", "--for=condition=Complete", f"job/{name}", "--timeout=60s"
        )
        assert done.returncode == 0, done.stderr
        logs = cluster.kubectl("-n", namespace, "logs", "-l", f"job-name={name}", "--tail=-1", "--prefix")
    (tmp_path / "logs").write_text(logs.stdout)
    ended = dynocheck("load", "--from", tmp_path / "logs", "-o", "json")
    assert ended.outcomes["load.errors"] == "pass"
    lost = "\n".join(line for line in logs.stdout.splitlines() if " 1/2@" not in line)
    (tmp_path / "logs").write_text(lost)
    ended = dynocheck("load", "--from", tmp_path / "logs", "-o", "json")
    assert (ended.code, set(ended.outcomes.values())) == (3, {"unknown"})
    assert "no result from worker 1 of 2" in ended.findings("load.errors")[0]["message"]


@pytest.mark.parametrize(
    ("kubelet", "says"),
    [
        ({"refuse": {IMAGE[1]: "InvalidImageName"}}, "InvalidImageName: no such image"),
        ({"broken": IMAGE[1]}, "the Job failed: BackoffLimitExceeded"),
    ],
    ids=["an image that cannot be had", "pods that fail"],
)
def test_what_does_not_run_is_no_measurement(
    cluster: ControlPlane, namespace: str, tmp_path: Path, kubelet: dict[str, Any], says: str
) -> None:
    cluster.start_controller_manager()
    with Kubelet(cluster, tmp_path, **kubelet):
        ended = load(cluster, namespace, "--url", "http://h:1", "--apply", "-o", "json")
    assert (ended.code, set(ended.outcomes.values())) == (3, {"unknown"})
    assert says in ended.findings("load.errors")[0]["message"]
    assert left(cluster, namespace) == []


def test_who_may_not_make_a_job_is_told_so(cluster: ControlPlane, namespace: str) -> None:
    stranger = cluster.kubeconfig(cluster.user("stranger"))
    ended = load(cluster, namespace, "--url", "http://h:1", "--apply", "-o", "json", config=stranger)
    assert (ended.code, set(ended.outcomes.values())) == (3, {"unknown"})
    assert "cannot create resource" in ended.findings("load.errors")[0]["message"]
    ended = load(cluster, namespace, "chat", config=stranger)
    assert (ended.code, "cannot list resource" in ended.err) == (2, True)


def test_what_cannot_be_deleted_is_said(cluster: ControlPlane, namespace: str, tmp_path: Path) -> None:
    makers = [{**rule, "verbs": [verb for verb in rule["verbs"] if verb != "delete"]} for rule in rules()]
    user = cluster.user("maker", rules=makers, namespace=namespace)
    cluster.start_controller_manager()
    with Kubelet(cluster, tmp_path, refuse={IMAGE[1]: "InvalidImageName"}):
        ended = load(cluster, namespace, "--url", "http://h:1", "--apply", config=cluster.kubeconfig(user))
    (name,) = set(left(cluster, namespace))
    assert f"kubectl -n {namespace} delete job {name}" in ended.err
    assert f"kubectl -n {namespace} delete service {name}" in ended.err


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_ended_from_outside_it_takes_the_job_with_it(
    cluster: ControlPlane, namespace: str, by: signal.Signals
) -> None:
    reached = ("--kubeconfig", cluster.kubeconfig(), "-n", namespace)
    with start("load", *reached, "--url", "http://h:1", "--in-cluster", "--apply", *IMAGE) as running:
        until(lambda: len(left(cluster, namespace)) == 2)
        interrupt(running, by)
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
