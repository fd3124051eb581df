"""Graphs of Dynamo that really run on the node, and dynocheck on them."""

from collections.abc import Callable

import pytest
import yaml

from tests.command import CommandResult, dynocheck, run_inside
from tests.node import graphs, images, pods
from tests.node.conftest import MakeGraph
from tests.node.node import Node


def test_the_cluster_is_fit_and_the_graph_serves(node: Node, served: str) -> None:
    reached = ("--kubeconfig", node.cluster.kubeconfig(), "-n", served, "-o", "json")
    judged = dynocheck("preflight", *reached)
    assert (judged.code, judged.report["summary"]["fail"]) == (0, 0), judged.out
    assert judged.outcomes["platform.operator"] == "pass"
    assert judged.outcomes["platform.webhook"] == "pass"
    assert_serves(dynocheck("smoke", "agg", *reached, "--via", "proxy", "--requests", "4"))


def test_from_a_pod_of_its_own_image_it_reaches_the_graph_by_its_name(node: Node, served: str) -> None:
    """With the rights that dynocheck itself says are enough."""
    for role in yaml.safe_load_all(run_inside("rbac", "--smoke").out):
        if role["kind"] == "Role":
            node.cluster.service_account("smoke", served, rules=role["rules"])
    words = ["smoke", "agg", "--via", "dns", "--requests", "4", "-n", served, "-o", "json"]
    own = {"name": "main", "image": images.DYNOCHECK, "args": words}
    pod = pods.pod("smoke", served, own, serviceAccountName="smoke", restartPolicy="Never")
    node.cluster.apply(pod)
    pods.until(node.cluster, served, "smoke", pods.ended)
    assert_serves(CommandResult(0, pods.logs(node.cluster, served, "smoke"), ""))


@pytest.mark.verify
@pytest.mark.parametrize("graph", [graphs.routed, graphs.disaggregated])
def test_each_kind_of_graph_is_fit(
    node: Node, namespace: str, deploy: Callable[[MakeGraph], None], graph: MakeGraph
) -> None:
    deploy(graph)
    reached = ("--kubeconfig", node.cluster.kubeconfig(), "-n", namespace, "-o", "json")
    assert_serves(dynocheck("smoke", *reached, "--via", "proxy", "--requests", "4"))


def assert_serves(ended: CommandResult) -> None:
    """All holds that does not depend on how much of this machine is left for the client."""
    judged = {outcome for check, outcome in ended.outcomes.items() if not check.startswith("load.")}
    assert "pass" in judged, ended.out
    assert not judged & {"fail", "unknown", "error"}, ended.out
    assert ended.outcomes["load.errors"] == "pass", ended.out
