"""What the tests on a real node share: the node, Dynamo's types and platform, and graphs that run."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clusters import platform as clusters_platform
from tests.controlplane.api import Object
from tests.controlplane.build import AssetsUnavailable
from tests.dynamo.build import Home
from tests.node import build, graphs, platform
from tests.node.node import Node
from tests.node.operator import Operator

MakeGraph = Callable[[str, Home], Object]


@pytest.fixture(scope="package")
def running_node(request: pytest.FixtureRequest) -> Iterator[Node]:
    """The one node of these tests, which ends with them. Whoever asks for it gets it, or a failure."""
    if not build.wanted():
        pytest.skip(f"starts a Kubernetes node: {build.WANTED}=1 make test, as root on Debian")
    capture = request.config.pluginmanager.getplugin("capturemanager")
    try:
        with capture.global_and_fixture_disabled():  # the first build takes minutes: show it
            build.everything()
        server = Node()
        with server as node:
            yield node
    except AssetsUnavailable as error:
        pytest.fail(f"node: {error}", pytrace=False)


@pytest.fixture
def node(running_node: Node) -> Iterator[Node]:
    """The node; the test is in its network, and finds there what is in the cluster and nothing else."""
    with running_node.network():
        yield running_node


@pytest.fixture
def namespace(node: Node) -> Iterator[str]:
    """A namespace of the node's cluster, which goes with all its pods."""
    name = node.cluster.namespace()
    yield name
    node.cluster.delete({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


@pytest.fixture(scope="package")
def operator(running_node: Node, crds: Path, dynamo_home: Home) -> Operator:
    """What makes graphs run, on a cluster with Dynamo's platform."""
    with running_node.network():
        running_node.cluster.load_crds(*(crds / folder for folder in clusters_platform.CRDS))
        platform.install(running_node.cluster)
    return Operator(running_node, dynamo_home)


@pytest.fixture(scope="package")
def served(running_node: Node, operator: Operator, dynamo_home: Home) -> str:
    """A namespace with a graph of one worker, `agg`, which serves for all tests here."""
    with running_node.network():
        namespace = running_node.cluster.namespace("served")
        operator.deploy(graphs.aggregated(namespace, dynamo_home))
    return namespace


@pytest.fixture
def deploy(node: Node, operator: Operator, namespace: str, dynamo_home: Home) -> Callable[[MakeGraph], None]:
    """Make a graph run in the test's own namespace."""
    return lambda graph: operator.deploy(graph(namespace, dynamo_home))
