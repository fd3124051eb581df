"""A DaemonSet that is run by the official client, on servers that refuse."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.kube.daemonsets import DaemonSetRunner
from dynocheck.kube.errors import StatusError
from tests.kube.servers import Request, reply, serve

META = {"name": "look", "namespace": "default"}
SPEC: dict[str, Any] = {"selector": {"matchLabels": {"app.kubernetes.io/name": "look", "run": "1"}}}
OBJECTS = [
    {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": META},
    {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": META, "spec": SPEC},
]


def run(folder: Path, status: int) -> tuple[list[str], list[str]]:
    """The methods of the requests, and what is said. A creation gets this status, all else is forbidden."""
    saw: list[str] = []
    said: list[str] = []

    def answer(request: Request, _: object) -> bytes:
        saw.append(request.method)
        return reply(status if request.method == "POST" else 403, {"kind": "Status"})

    with serve(answer) as server:
        runner = DaemonSetRunner(server.cluster(folder, timeout_s=5), OBJECTS, said.append)
        with pytest.raises(StatusError), runner.create():
            pass
    return saw, said


def test_what_may_not_be_created_is_not_left(tmp_path: Path) -> None:
    assert run(tmp_path, 403) == (["POST"], [])


def test_what_may_have_been_created_is_left(tmp_path: Path) -> None:
    saw, said = run(tmp_path, 409)
    assert saw == ["POST", "GET", "DELETE"]
    assert [line.partition(":")[0] for line in said] == ["left ServiceAccount default/look"]
