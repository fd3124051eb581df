"""The pytest fixtures that give tests a real node, where one is asked for."""

from collections.abc import Iterator
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from tests.controlplane.build import AssetsUnavailable
from tests.node import build
from tests.node.node import Node

_FOLDER = "tests/node/"


class _OneNode(LoadFileScheduling):  # type: ignore[misc] # xdist has no types
    """Files go to the processes of a run as they come, but for those here, which share one node."""

    def _split_scope(self, nodeid: str) -> str:
        return _FOLDER if nodeid.startswith(_FOLDER) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """Start one node in a run, not one in each process."""
    return _OneNode(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def running_node(request: pytest.FixtureRequest) -> Iterator[Node]:
    """The one node of this test session. Whoever asks for it gets it, or a failure."""
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
