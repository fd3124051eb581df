"""What `dynocheck node --cluster` writes, and how the GPU nodes of a cluster stand beside each other."""

from pathlib import Path

import pytest
import yaml
from msgspec import structs

from dynocheck.checks.node.cluster import alike, reached
from dynocheck.core import snapshot
from dynocheck.core.knowledge import Knowledge
from dynocheck.facts import (
    Node,
    NodeGpu,
    NodeGpus,
    NodeHost,
    NodeKernelLog,
    NodePackage,
    NodePackages,
    NodeRdma,
    NodeReport,
    NodeReports,
    Nodes,
    RdmaPort,
    apply_reports,
)
from tests.checks.judging import outcomes, places, run_check
from tests.command import ROOT, run_inside, usage_error

DEMO = ROOT / "dynocheck/data/demo.json"  # of a cluster with the nodes gpu-1 to gpu-3
UNREAD = NodeKernelLog(unread="no permission")


def make_node(
    name: str,
    *,
    gpus: int = 8,
    driver: str = "580.95.05",
    rate: str = "400",
    firmware: str = "96.00.AF.00.01",
    card: str = "28.43.2026",
    engine: str = "0.33.0",
    nccl: str = "2.27.3",
) -> NodeReport:
    gpu = NodeGpu(index=0, name="NVIDIA H100 80GB HBM3", firmware=firmware)
    devices = tuple(structs.replace(gpu, index=index) for index in range(gpus))
    port = RdmaPort("mlx5_0", 1, "ACTIVE", rate=rate, board="MT_0000000838", firmware=card)
    packages = NodePackages((NodePackage("vllm", engine, "vllm"),), libraries={"NCCL": nccl})
    return NodeReport(
        name=name,
        gpus=NodeGpus(devices, driver),
        rdma=NodeRdma((port,), peermem=True),
        log=UNREAD,
        packages=packages,
    )


def record(path: Path, *reports: NodeReport) -> Path:
    """A file of what these nodes said."""
    path.write_bytes(snapshot.encode(Knowledge({NodeReports: NodeReports(reports)}), {"cluster": "c"}))
    return path


@pytest.mark.parametrize(
    "odd",
    [
        make_node("d", gpus=7),
        make_node("d", driver="575.57.08"),
        make_node("d", rate="200"),
        make_node("d", firmware="96.00.61.00.01"),
        make_node("d", card="28.39.1002"),
        make_node("d", engine="0.32.1"),
        make_node("d", nccl="2.26.2"),
    ],
)
def test_the_odd_one_of_several_nodes_is_named(odd: NodeReport) -> None:
    nodes = tuple(make_node(name) for name in ("a", "b", "c"))
    assert places(alike, NodeReports(nodes)) == []
    assert places(alike, NodeReports((*nodes, odd))) == [("warn", "Node d")]


def test_without_a_majority_no_node_is_the_odd_one() -> None:
    (found,) = run_check(alike, NodeReports((make_node("a"), make_node("b", driver="575.57.08"))))
    assert (found.outcome, found.subject) == ("warn", None)


def test_a_long_list_of_nodes_says_how_many_more_there_are() -> None:
    nodes = [make_node(f"n{index}", driver="575.57.08" if index % 2 else "580.95.05") for index in range(40)]
    (found,) = run_check(alike, NodeReports(tuple(nodes)))
    assert ("n0 580" in found.message, found.message.endswith("; and 30 more nodes")) == (True, True)


def test_a_gpu_that_fell_off_the_bus_of_a_node_is_missed(tmp_path: Path) -> None:
    """The pod that looked was given all GPUs of its machine."""
    node = make_node("a", gpus=7)
    gpus = structs.replace(node.gpus, pci=8, given_all=True)
    file = record(tmp_path / "nodes.json", structs.replace(node, gpus=gpus, host=NodeHost(container=True)))
    words = ("--snapshot", str(file), "--select", "node.gpu-visible", "-o", "json")
    assert run_inside("node", "--cluster", *words).outcomes == {"node.gpu-visible": "fail"}


def test_firmware_of_another_model_of_card_is_not_compared() -> None:
    other = RdmaPort("mlx5_0", 1, "ACTIVE", rate="400", board="MT_0000001010", firmware="32.41.1000")
    odd = structs.replace(make_node("d"), rdma=NodeRdma((other,), peermem=True))
    assert outcomes(alike, NodeReports((*map(make_node, "abc"), odd))) == []


def test_nodes_with_other_gpus_and_unseen_ones_are_not_compared() -> None:
    other = NodeGpus((NodeGpu(index=0, name="NVIDIA L40S"),))
    nodes = (make_node("a"), NodeReport(name="b", gpus=other), NodeReport(name="c", unseen="gone"))
    assert outcomes(alike, NodeReports(nodes)) == ["skip"]


def test_nodes_without_a_pod_are_unknown_and_those_whose_driver_fails_are_not_fit() -> None:
    broken = NodeReport(name="b", gpus=NodeGpus(absent="Driver/library version mismatch", absent_code=18))
    nodes = (make_node("a"), broken, NodeReport(name="c", unseen="gone"))
    assert places(reached, NodeReports(nodes)) == [("fail", "Node b"), ("unknown", "Node c")]


def test_what_it_would_apply_has_no_rights_and_no_access_to_the_host() -> None:
    words = ("node", "--cluster", "--image", "i", "--tolerate", "team=a:NoSchedule", "--node-selector", "k=v")
    home, account, daemonset = yaml.safe_load_all(run_inside(*words, "--runtime-class", "nvidia").out)
    pod = daemonset["spec"]["template"]["spec"]
    assert home["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert (account["automountServiceAccountToken"], pod["automountServiceAccountToken"]) == (False, False)
    assert not pod.keys() & {"volumes", "hostPID", "hostNetwork", "hostIPC"}
    assert (pod["nodeSelector"], pod["runtimeClassName"]) == ({"k": "v"}, "nvidia")
    assert {"key": "team", "operator": "Equal", "value": "a", "effect": "NoSchedule"} in pod["tolerations"]


@pytest.mark.parametrize(
    "words",
    [
        ("--cluster",),
        ("--apply",),
        ("--cluster", "--image", "i", "--pull-secret", "s"),
        ("--cluster", "--image", "i", "--node-selector", "gpu"),
        ("--cluster", "--image", "i", "--tolerate", "gpu:Never"),
        ("--cluster", "--image", "i", "--snapshot", "node.json"),
        ("--cluster", "--snapshot", str(DEMO)),
        ("--cluster", "--image", "i", "--record", "node.json"),
        ("--pull-secret", "s"),
        ("--image", "i"),
        ("--tolerate", "team"),
        ("--wait", "10s"),
    ],
)
def test_options_that_do_not_fit_are_usage_errors(words: tuple[str, ...]) -> None:
    usage_error("node", *words)


def test_what_nodes_said_is_judged_again(tmp_path: Path) -> None:
    lost = NodeGpus((NodeGpu(index=0, fault="GPU is lost", fault_code=15),), "580.95.05")
    file = record(tmp_path / "node.json", make_node("a"), structs.replace(make_node("b"), gpus=lost))
    ended = run_inside("node", "--cluster", "--snapshot", file, "-o", "json")
    assert (ended.code, ended.report["target"]["cluster"]) == (1, "c")
    assert ended.finding("node.gpu-visible")["subject"]["name"] == "b/0"
    assert (ended.outcomes["node.reached"], "node.xid" in ended.outcomes) == ("pass", False)


@pytest.mark.parametrize("verb", ["preflight", "recipe recipes/qwen3-32b"])
def test_drivers_and_gpus_are_what_the_nodes_said(tmp_path: Path, verb: str) -> None:
    """Their labels say 580 and 8 GPUs; one node that has them, one with an old driver, and one unseen."""
    old, away = make_node("gpu-2", driver="450.80.02", gpus=7), NodeReport(name="gpu-3", unseen="gone")
    file = record(tmp_path / "node.json", make_node("gpu-1"), old, away)
    words = [*verb.split(), "--snapshot", str(DEMO), "-o", "json"]
    alone, together = run_inside(*words), run_inside(*words, "--with", file)
    assert (alone.outcomes["driver.cuda-matrix"], together.outcomes["driver.cuda-matrix"]) == ("pass", "fail")
    assert "450.80.02" in together.finding("driver.cuda-matrix")["message"]
    assert (together.outcomes["node.reached"], together.report["target"]["with"]) == ("unknown", str(file))
    assert together.finding("node.driver-floor")["subject"]["name"] == "gpu-2"
    unknown = {check for check, outcome in together.outcomes.items() if outcome == "unknown"}
    assert unknown - {"node.reached"} == {c for c, outcome in alone.outcomes.items() if outcome == "unknown"}


def test_a_node_offers_no_more_gpus_than_it_said_and_what_is_shared_stays() -> None:
    offered = {"nvidia.com/gpu": "8"}
    shared = {"nvidia.com/gpu.sharing-strategy": "time-slicing", "nvidia.com/gpu.count": "8"}
    nodes = Nodes((Node("a", allocatable=offered), Node("b", labels=shared, allocatable=offered), Node("c")))
    reports = NodeReports((make_node("a", gpus=7), make_node("b", gpus=4)))
    assert [node.gpus for node in apply_reports(nodes, reports)] == [7, 8, 0]


@pytest.mark.parametrize("verb", ["preflight", "recipe recipes/qwen3-32b"])
def test_nodes_of_another_cluster_are_refused(tmp_path: Path, verb: str) -> None:
    words = [*verb.split(), "--snapshot", str(DEMO), "--with"]
    other = record(tmp_path / "other.json", make_node("elsewhere-1"), make_node("elsewhere-2"))
    assert "has none of the 2 nodes in it" in usage_error(*words, other)
    some = record(tmp_path / "some.json", make_node("gpu-1"), make_node("since-removed"))
    ended = run_inside(*words, some, "-o", "json")
    assert (ended.report["target"]["recorded at"], ended.report["target"]["with"]) == ("c", str(some))


def test_a_file_without_nodes_is_refused() -> None:
    assert "--record" in usage_error("preflight", "--with", str(DEMO), "--snapshot", str(DEMO))
