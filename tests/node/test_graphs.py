"""Graphs of Dynamo that really run on the node, and dynocheck on them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.clusters import platform
from tests.command import CommandResult, dynocheck, run_inside
from tests.controlplane.api import Object
from tests.dynamo.build import Home
from tests.node import graphs, images, pods
from tests.node.node import Node
from tests.node.operator import Operator

# Each pod of a load asks for a processor.
PODS = str(min(3, os.cpu_count() or 1))
SMALL = ("--requests", "12", "--isl", "32", "--osl", "8", "--warmup", "2", "--concurrency", "6")


@pytest.fixture(scope="module")
def typed(running_node: Node, crds: Path) -> None:
    with running_node.network():
        running_node.cluster.load_crds(*(crds / folder for folder in platform.CRDS))


@pytest.fixture
def deploy(typed: None, node: Node, namespace: str, dynamo_home: Home) -> Callable[..., None]:
    operator = Operator(node, dynamo_home)

    def make(graph: Callable[[str, Home], Object]) -> None:
        operator.deploy(graph(namespace, dynamo_home))

    return make


def run(node: Node, namespace: str, verb: str, *more: str) -> CommandResult:
    reached = ("--kubeconfig", node.cluster.kubeconfig(), "-n", namespace, "-o", "json")
    return dynocheck(verb, *reached, *more)


def test_a_graph_answers_through_the_api_server_and_under_load_from_pods(
    node: Node, namespace: str, deploy: Callable[..., None]
) -> None:
    deploy(graphs.aggregated)
    smoked = run(node, namespace, "smoke", "agg", "--via", "proxy", "--requests", "4")
    assert smoked.code == 0, smoked.out
    shared = ("--in-cluster", "--apply", "--parallelism", PODS, "--image", images.DYNOCHECK)
    loaded = run(node, namespace, "load", "agg", *SMALL, *shared)
    assert loaded.outcomes["load.errors"] == "pass", loaded.err
    assert loaded.row("load.requests").items() >= {"sent": 12, "ok": 12, "failed": 0}.items()
    smoke_from_a_pod(node, namespace)


def smoke_from_a_pod(node: Node, namespace: str) -> None:
    """Dynocheck in its own image, with the rights that it says are enough, reaches the graph by its name."""
    for role in yaml.safe_load_all(run_inside("rbac", "--smoke").out):
        if role["kind"] == "Role":
            node.cluster.service_account("smoke", namespace, rules=role["rules"])
    words = ["smoke", "agg", "--via", "dns", "--requests", "4", "-n", namespace]
    own = {"name": "main", "image": images.DYNOCHECK, "args": words}
    pod = pods.pod("smoke", namespace, own, serviceAccountName="smoke", restartPolicy="Never")
    node.cluster.apply(pod)
    ended = pods.until(node.cluster, namespace, "smoke", pods.ended)
    assert ended["status"]["phase"] == "Succeeded", pods.logs(node.cluster, namespace, "smoke")


@pytest.mark.parametrize(
    ("image", "says"),
    [
        ("registry.example/Dynocheck:1", "InvalidImageName: "),
        (images.BUSYBOX, "CreateContainerConfigError: container has runAsNonRoot and image will run as root"),
    ],
    ids=["no name of an image", "an image of root"],
)
def test_a_load_whose_pods_do_not_run_says_why(node: Node, namespace: str, image: str, says: str) -> None:
    ended = run(node, namespace, "load", "--url", "http://h:1", "--in-cluster", "--apply", "--image", image)
    assert (ended.code, set(ended.outcomes.values())) == (3, {"unknown"})
    assert says in ended.findings("load.errors")[0]["message"]


@pytest.mark.verify
@pytest.mark.parametrize("graph", [graphs.routed, graphs.disaggregated])
def test_each_kind_of_graph_is_fit(
    node: Node, namespace: str, deploy: Callable[..., None], graph: Callable[[str, Home], Object]
) -> None:
    deploy(graph)
    smoked = run(node, namespace, "smoke", "--via", "proxy", "--requests", "4")
    assert smoked.code == 0, smoked.out
