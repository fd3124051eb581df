"""`dynocheck load --in-cluster` whose pods really run, and those that do not."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.command import CommandResult, dynocheck, run_inside, until
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane
from tests.dynamo.server import MODEL
from tests.node import images
from tests.node.breakage import NOBODY
from tests.node.node import Node

SMALL = ("--requests", "12", "--isl", "32", "--osl", "8", "--warmup", "2", "--concurrency", "6")
FEW_CPUS = ("--cpu", "200m")
LIMITS = {"dynocheck.dev/limits": "error_rate=0, requests_per_s=few"}


@pytest.fixture
def strict(node: Node, served: str) -> Iterator[str]:
    """The namespace of the graph, when it takes new pods by the strictest of the standards alone."""
    label = "pod-security.kubernetes.io/enforce"
    namespace: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": served}}
    node.cluster.apply({**namespace, "metadata": {"name": served, "labels": {label: "restricted"}}})
    yield served
    node.cluster.kubectl("label", "namespace", served, f"{label}-")


def load(cluster: ControlPlane, namespace: str, *more: str | Path, **who: Any) -> CommandResult:
    reached = ("--kubeconfig", cluster.kubeconfig(**who), "-n", namespace, "--in-cluster")
    return dynocheck("load", *reached, *SMALL, *FEW_CPUS, *more)


def list_jobs(cluster: ControlPlane, namespace: str) -> list[str]:
    """The Jobs that are still there, and the Services of such names."""
    paths = (f"/apis/batch/v1/namespaces/{namespace}/jobs", f"/api/v1/namespaces/{namespace}/services")
    names = [item["metadata"]["name"] for path in paths for item in cluster.get(path)["items"]]
    return [name for name in names if name.startswith("dynocheck-load")]


def test_pods_share_a_load_and_their_results_are_one_report(node: Node, strict: str, tmp_path: Path) -> None:
    """As a user who may do no more than `dynocheck rbac --load` says."""
    path = f"/apis/nvidia.com/v1beta1/namespaces/{strict}/dynamographdeployments/agg"
    merge = "application/merge-patch+json"
    node.cluster.request("PATCH", path, {"metadata": {"annotations": LIMITS}}, content_type=merge)
    (role,) = yaml.safe_load_all(run_inside("rbac", "--load").out)
    user = node.cluster.user("loader", rules=role["rules"], namespace=strict)
    saved = tmp_path / "run.json"
    words = ("--apply", "--parallelism", "3", "--image", images.DYNOCHECK, "--save", saved, "-o", "json")
    ended = load(node.cluster, strict, "agg", *words, user=user)
    assert ended.outcomes["load.errors"] == "pass", ended.err
    assert ended.row("load.requests").items() >= {"sent": 12, "ok": 12, "failed": 0}.items()
    target = ended.report["target"]
    assert (target["model"], target["way"]) == (MODEL, f"3 pods of namespace {strict}")
    assert target["url"] == f"http://agg-frontend.{strict}.svc:8000"
    assert list_jobs(node.cluster, strict) == []
    told = [line.partition(" ")[0] for line in ended.err.splitlines()]
    assert [word for word in told if word != "looking"] == ["created"] * 2 + ["deleted"] * 2
    who = f"dynocheck.dev/limits of DynamoGraphDeployment {strict}/agg"
    assert target["limits"] == [f"error_rate=0 ({who})"]
    assert ended.outcomes["load.limits"] == "unknown"
    assert f"{who}: requests_per_s=few: " in ended.findings("load.limits")[0]["message"]
    again = dynocheck("load", "--from", saved, "-o", "json", "--limit", "error_rate=0")
    assert again.report["tables"] == ended.report["tables"]
    assert again.report["target"]["limits"] == ["error_rate=0 (--limit)"]


@pytest.mark.verify
def test_applied_by_hand_and_read_from_the_logs(node: Node, strict: str, tmp_path: Path) -> None:
    file, cluster = tmp_path / "job.yaml", node.cluster
    assert load(cluster, strict, "agg", "--image", images.DYNOCHECK, "--manifest", file).code == 0
    (job, _) = yaml.safe_load_all(file.read_text())
    name = job["metadata"]["name"]
    logs = cluster.shell(f"""
        kubectl apply -f {file} >&2 &&
        kubectl -n {strict} wait --for=condition=Complete job/{name} --timeout=60s >&2 &&
        kubectl -n {strict} logs -l job-name={name} --tail=-1 --prefix &&
        kubectl delete -f {file} >&2
    """)
    assert logs.returncode == 0, logs.stderr
    (tmp_path / "logs").write_text(logs.stdout)
    ended = dynocheck("load", "--from", tmp_path / "logs", "-o", "json")
    assert ended.outcomes["load.errors"] == "pass"
    lost = "\n".join(line for line in logs.stdout.splitlines() if " 1/2@" not in line)
    (tmp_path / "logs").write_text(lost)
    ended = dynocheck("load", "--from", tmp_path / "logs", "-o", "json")
    assert (ended.code, set(ended.outcomes.values())) == (3, {"unknown"})
    assert "no result from worker 1 of 2" in ended.findings("load.errors")[0]["message"]


ASLEEP = ("--url", "http://asleep:1", "--image", images.FAULTY)
LATER = pytest.mark.verify


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--url", "http://memory:1", "--image", images.FAULTY), r"-1-\w+: OOMKilled: exit code 137"),
        pytest.param(
            ("--url", "http://option:1", "--image", images.FAULTY),
            r"-1-\w+: Error: exit code 2; error: no such option",
            marks=LATER,
        ),
        pytest.param(
            ("--url", "http://h:1", "--image", f"{NOBODY}/dynocheck:1"),
            "ImagePullBackOff: .*connection refused",
            marks=LATER,
        ),
        pytest.param(
            ("--url", "http://h:1", "--image", "registry.example/Dynocheck:1"),
            "InvalidImageName: ",
            marks=LATER,
        ),
        pytest.param(
            ("--url", "http://h:1", "--image", images.BUSYBOX),
            "CreateContainerConfigError: container has runAsNonRoot and image will run as root",
            marks=LATER,
        ),
    ],
    ids=[
        "out of memory",
        "an option it does not know",
        "no image",
        "no name of an image",
        "an image of root",
    ],
)
def test_a_load_whose_pods_do_not_run_says_why(
    node: Node, namespace: str, words: tuple[str, ...], says: str
) -> None:
    assert_says_why(load(node.cluster, namespace, *words, "--apply", "-o", "json"), says)
    assert list_jobs(node.cluster, namespace) == []


@pytest.mark.parametrize(
    ("way", "says"),
    [
        ("kill", r"-1-\w+: Error: exit code 137"),
        pytest.param("evict", r"-1-\w+: EvictionByEvictionAPI", marks=LATER),
        pytest.param("delete", r"-1-\w+: deleted", marks=LATER),
    ],
)
def test_a_load_that_loses_a_pod_says_which(node: Node, namespace: str, way: str, says: str) -> None:
    with ThreadPoolExecutor(1) as pool:
        lost = pool.submit(lose, node, namespace, way)
        ended = load(node.cluster, namespace, *ASLEEP, "--apply", "-o", "json")
        lost.result()
    assert_says_why(ended, says)


def assert_says_why(ended: CommandResult, says: str) -> None:
    assert (ended.code, set(ended.outcomes.values())) == (3, {"unknown"}), ended.out
    message = ended.findings("load.errors")[0]["message"]
    assert re.search(says, message), message


def lose(node: Node, namespace: str, way: str) -> None:
    """Wait until both pods run, and end the second: kill its program, evict it or delete it."""
    with node.network():
        path, found = f"/api/v1/namespaces/{namespace}/pods", list[Object]()

        def run() -> bool:
            found[:] = sorted(node.cluster.get(path)["items"], key=lambda pod: str(pod["metadata"]["name"]))
            return [pod["status"]["phase"] for pod in found] == ["Running"] * 2

        until(run)
        metadata = found[1]["metadata"]
        this = {"name": metadata["name"], "namespace": namespace}
        if way == "evict":
            eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": this}
            node.cluster.request("POST", f"{path}/{this['name']}/eviction", eviction)
        elif way == "delete":
            node.cluster.delete({"apiVersion": "v1", "kind": "Pod", "metadata": this})
        else:
            container = found[1]["status"]["containerStatuses"][0]["containerID"].removeprefix(
                "containerd://"
            )
            node.kill(container)
