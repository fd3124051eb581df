"""What the tests on the node share: Dynamo's types and platform, and graphs that run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clusters import platform as clusters_platform
from tests.controlplane.api import Object
from tests.dynamo.build import Home
from tests.node import graphs, platform
from tests.node.node import Node
from tests.node.operator import Operator

MakeGraph = Callable[[str, Home], Object]


@pytest.fixture(scope="session")
def operator(running_node: Node, crds: Path, dynamo_home: Home) -> Operator:
    """What makes graphs run, on a cluster with Dynamo's platform."""
    with running_node.network():
        running_node.cluster.load_crds(*(crds / folder for folder in clusters_platform.CRDS))
        platform.install(running_node.cluster)
    return Operator(running_node, dynamo_home)


@pytest.fixture(scope="session")
def served(running_node: Node, operator: Operator, dynamo_home: Home) -> str:
    """A namespace with a graph of one worker, `agg`, which serves for all tests of the session."""
    with running_node.network():
        namespace = running_node.cluster.namespace("served")
        operator.deploy(graphs.aggregated(namespace, dynamo_home))
    return namespace


@pytest.fixture
def deploy(node: Node, operator: Operator, namespace: str, dynamo_home: Home) -> Callable[[MakeGraph], None]:
    """Make a graph run in the test's own namespace."""
    return lambda graph: operator.deploy(graph(namespace, dynamo_home))
