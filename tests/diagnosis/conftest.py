"""A namespace in which a deployment stands, and what `dynocheck diagnose` says of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dynocheck.cli import main
from tests.controlplane.server import HOST, ControlPlane
from tests.diagnosis.logs import serve_logs
from tests.diagnosis.stage import NODE, Stage


@pytest.fixture(scope="module")
def typed(controlplane: ControlPlane, crds: Path) -> Iterator[None]:
    yield from controlplane.share(
        *(crds / folder for folder in ("dynamo", "grove", "kai-scheduler", "lws", "gaie", "gateway-api"))
    )


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


def diagnose(stage: Stage, *words: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code and the verdicts of a run in this process."""
    file = stage.logs / "report.json"
    config = str(stage.cluster.kubeconfig(namespace=stage.namespace))
    code = main(["diagnose", "--kubeconfig", config, "-o", f"json={file}", *words])
    verdicts: list[dict[str, Any]] = json.loads(file.read_text())["verdicts"]
    return code, verdicts


def list_problems(verdicts: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Every finding with its check, but for those that another explains."""
    found = [(verdict["check"], finding) for verdict in verdicts for finding in verdict["findings"]]
    return [(check, finding) for check, finding in found if not finding.get("explained_by")]
