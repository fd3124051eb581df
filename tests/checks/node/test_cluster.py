"""What `dynocheck node --cluster` writes, and how the GPU nodes of a cluster stand beside each other."""

import pytest
import yaml

from dynocheck.checks.node.cluster import alike, reached
from dynocheck.facts import NodeGpu, NodeGpus, NodeRdma, NodeReport, NodeReports, RdmaPort
from tests.checks.judging import outcomes, places, run_check
from tests.command import run_inside, usage_error


def make_node(name: str, *, gpus: int = 8, driver: str = "580.95.05", rate: str = "400") -> NodeReport:
    devices = tuple(NodeGpu(index=index, name="NVIDIA H100 80GB HBM3") for index in range(gpus))
    port = RdmaPort("mlx5_0", 1, "ACTIVE", rate=rate)
    return NodeReport(name=name, gpus=NodeGpus(devices, driver), rdma=NodeRdma((port,)))


@pytest.mark.parametrize(
    "odd", [make_node("d", gpus=7), make_node("d", driver="575.57.08"), make_node("d", rate="200")]
)
def test_the_odd_one_of_several_nodes_is_named(odd: NodeReport) -> None:
    nodes = tuple(make_node(name) for name in ("a", "b", "c"))
    assert places(alike, NodeReports(nodes)) == []
    assert places(alike, NodeReports((*nodes, odd))) == [("warn", "Node d")]


def test_without_a_majority_no_node_is_the_odd_one() -> None:
    (found,) = run_check(alike, NodeReports((make_node("a"), make_node("b", driver="575.57.08"))))
    assert (found.outcome, found.subject) == ("warn", None)


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
    ],
)
def test_options_that_do_not_fit_are_usage_errors(words: tuple[str, ...]) -> None:
    usage_error("node", *words)
