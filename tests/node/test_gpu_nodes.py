"""`dynocheck node --cluster --apply` on the node, whose GPUs the NVML of the tests plays."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from dynocheck.kube.daemonsets import _describe_owner
from tests.command import CommandResult, dynocheck, interrupt, run_inside, start, until
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane
from tests.node import images
from tests.node.node import NAME, Node

OWN = "app.kubernetes.io/name=dynocheck-node"
NOWHERE = ("--node-selector", "nowhere=here")


def list_left(cluster: ControlPlane) -> list[str]:
    """What runs have left: namespaces, accounts, DaemonSets and pods."""
    paths = ("/api/v1/namespaces", "/api/v1/serviceaccounts", "/apis/apps/v1/daemonsets", "/api/v1/pods")
    found = (item for path in paths for item in cluster.get(f"{path}?labelSelector={OWN}")["items"])
    return [item["metadata"]["name"] for item in found]


@pytest.fixture
def config(node: Node) -> Iterator[Path]:
    """A kubeconfig; after the test nothing is left."""
    assert list_left(node.cluster) == []
    yield node.cluster.kubeconfig()
    until(lambda: list_left(node.cluster) == [], 60)


def make_words(config: Path, *more: str, image: str = images.GPUS) -> list[str]:
    return ["node", "--cluster", "--apply", "--image", image, "--kubeconfig", str(config), *more]


def look(config: Path, *more: str, image: str = images.GPUS) -> CommandResult:
    return dynocheck(*make_words(config, *more, image=image), "-o", "json")


def test_each_node_is_judged_and_nothing_is_left(config: Path) -> None:
    ended = look(config, "--expect-gpu", "8")
    assert ended.outcomes["node.reached"] == "pass", ended.err
    sound = {topic: ended.outcomes[f"node.{topic}"] for topic in ("gpu-visible", "ecc", "nvlink", "alike")}
    assert sound == {"gpu-visible": "pass", "ecc": "pass", "nvlink": "pass", "alike": "skip"}
    assert ended.report["target"]["nodes"] == "1 of 1 looked at"
    assert f"{NAME}: done" in ended.err.splitlines()


@pytest.mark.verify
def test_findings_name_the_node(config: Path) -> None:
    ended = look(config, "--expect-gpu", "4", "--select", "node.gpu-visible")
    assert (ended.code, ended.outcomes) == (1, {"node.gpu-visible": "fail"})
    assert ended.finding("node.gpu-visible")["subject"] == {"kind": "Node", "name": NAME, "namespace": None}


@pytest.mark.verify
@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (f"{images.REGISTRY}/nowhere:1", "ImagePull"),
        (images.OTHER_ARCHITECTURE, ""),
        (images.DYNOCHECK, "is given no GPU"),
    ],
    ids=["unpullable", "another-architecture", "no-nvidia-runtime"],
)
def test_a_node_that_cannot_be_looked_at_is_unknown(config: Path, image: str, reason: str) -> None:
    ended = look(config, image=image)
    found = ended.finding("node.reached")
    assert (ended.code, found["outcome"], found["subject"]["name"]) == (3, "unknown", NAME)
    assert reason in found["message"]


@pytest.mark.verify
def test_pod_security_may_forbid_the_pods(config: Path, node: Node, namespace: str) -> None:
    label = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": namespace, "labels": label}
    node.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    forbidden = look(config, "-n", namespace, "--kernel-log")
    assert forbidden.finding("node.reached")["outcome"] == "unknown"
    assert "PodSecurity" in forbidden.finding("node.reached")["message"]
    assert look(config, "-n", namespace).outcomes["node.reached"] == "pass"


@pytest.mark.verify
def test_the_kernel_log_is_read_where_it_is_asked_for(config: Path) -> None:
    ended = look(config, "--kernel-log")
    assert (ended.outcomes["node.reached"], ended.outcomes["node.xid"]) == ("pass", "pass"), ended.err


@pytest.mark.verify
def test_a_node_that_is_away_and_one_with_a_taint_are_unknown(config: Path, node: Node) -> None:
    label = {"nvidia.com/gpu.present": "true"}
    taint = {"key": "team", "value": "a", "effect": "NoSchedule"}
    away: Object = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "away", "labels": label}}
    tainted: Object = {
        **away,
        "metadata": {**away["metadata"], "name": "tainted"},
        "spec": {"taints": [taint]},
    }
    node.cluster.apply(away, tainted)
    condition = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}
    status = {"status": {"conditions": [condition]}}
    node.cluster.request(
        "PATCH", "/api/v1/nodes/away/status", status, content_type="application/merge-patch+json"
    )
    try:
        ended = look(config)
    finally:
        node.cluster.delete(away)
        node.cluster.delete(tainted)
    found = {each["subject"]["name"]: each for each in ended.findings("node.reached")}
    assert found.keys() == {"away", "tainted"}, ended.err
    assert "not ready" in found["away"]["message"]
    assert found["tainted"]["fix"] == "add --tolerate team=a"
    assert (ended.code, ended.outcomes["node.ecc"]) == (3, "pass")


@pytest.mark.verify
@pytest.mark.parametrize(
    "moment", ["created Namespace", "created ServiceAccount", "created DaemonSet", NAME, "deleted"]
)
def test_what_a_killed_run_left_goes_with_the_next(config: Path, node: Node, moment: str) -> None:
    with start(*make_words(config)) as process:
        _wait_for_line(process, moment)
    found = look(config, *NOWHERE)
    assert found.outcomes["node.reached"] == "skip"
    until(lambda: list_left(node.cluster) == [], 60)


@pytest.mark.verify
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(config: Path, by: signal.Signals) -> None:
    with start(*make_words(config)) as process:
        _wait_for_line(process, "created DaemonSet")
        interrupt(process, by)


@pytest.mark.verify
def test_what_a_living_run_uses_is_named_and_left(config: Path, node: Node) -> None:
    (account, _) = yaml.safe_load_all(run_inside("node", "--cluster", "--image", "i", "-n", "default").out)
    account["metadata"]["annotations"] = {"dynocheck.dev/created-by": _describe_owner()}
    node.cluster.apply(account)
    name = account["metadata"]["name"]
    ended = look(config, *NOWHERE, "-n", "default")
    assert f"kubectl -n default delete serviceaccount {name}" in ended.err
    assert name in list_left(node.cluster)
    node.cluster.delete(account)


def _wait_for_line(process: subprocess.Popen[str], begin: str) -> None:
    """Read what a run says on standard error until a line begins like this."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(begin):
            return
    raise AssertionError(f"the run never said {begin}")
