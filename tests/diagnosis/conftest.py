"""A namespace of the real API server in which a graph stands, with a kubelet that gives logs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlplane.server import HOST, ControlPlane
from tests.diagnosis.logs import serve_logs
from tests.diagnosis.stage import NODE, Stage


@pytest.fixture(scope="module")
def typed(controlplane: ControlPlane, crds: Path) -> Iterator[None]:
    yield from controlplane.share(*(crds / folder for folder in ("dynamo", "grove", "lws")))


@pytest.fixture
def stage(typed: None, cluster: ControlPlane, tmp_path: Path) -> Iterator[Stage]:
    """An empty namespace, and a node whose kubelet gives logs."""
    server = serve_logs(tmp_path)
    addresses = [{"type": "InternalIP", "address": HOST}]
    ports = {"kubeletEndpoint": {"Port": server.server_address[1]}}
    cluster.node(NODE, addresses=addresses, daemonEndpoints=ports)
    yield Stage(cluster, cluster.namespace(), tmp_path)
    server.shutdown()
    server.server_close()
