"""What ranks in one pod share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.memory.shared_memory import shared_memory
from tests.checks.judging import deploy, outcomes
from tests.checks.manifests import engine, graph


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (None, []),
        ("16Gi", []),
        ("512Mi", ["warn"]),
        ("0", ["warn"]),
        (0, ["warn"]),
        ("much", []),
    ],
)
def test_the_operator_mounts_some(tmp_path: Path, size: Any, expected: list[str]) -> None:
    more = {} if size is None else {"sharedMemorySize": size}
    assert outcomes(shared_memory, deploy(tmp_path, graph(engine(gpus=2, **more)))) == expected


@pytest.mark.parametrize(
    ("shared", "expected"),
    [
        (None, []),
        ({"size": "80Gi"}, []),
        ({"size": "64Mi"}, ["warn"]),
        ({"disabled": True}, ["warn"]),
        ({"disabled": True, "size": "80Gi"}, ["warn"]),
        ({"disabled": False}, []),
    ],
)
def test_the_older_api_says_it_otherwise(
    tmp_path: Path, shared: dict[str, Any] | None, expected: list[str]
) -> None:
    main = {"command": ["python3", "-m", "dynamo.vllm", "--model", "m", "-tp", "2"]}
    service = {
        "componentType": "worker",
        "resources": {"limits": {"gpu": "2"}},
        "extraPodSpec": {"mainContainer": main},
    }
    services = {"w": service | ({"sharedMemory": shared} if shared else {})}
    old = graph() | {"apiVersion": "nvidia.com/v1alpha1", "spec": {"services": services}}
    assert outcomes(shared_memory, deploy(tmp_path, old)) == expected


@pytest.mark.parametrize(
    ("volume", "size", "expected"),
    [
        ({"medium": "Memory"}, "0", []),
        ({"medium": "Memory", "sizeLimit": "64Gi"}, "0", []),
        ({"medium": "Memory", "sizeLimit": "100M"}, "16Gi", ["warn"]),
        ({}, "16Gi", ["warn"]),  # on disk
        (None, "0", ["warn"]),
    ],
)
def test_a_volume_of_its_own_counts(tmp_path: Path, volume: Any, size: str, expected: list[str]) -> None:
    main, pod = (
        {"volumeMounts": [{"name": "s", "mountPath": "/dev/shm"}]},
        {"volumes": [{"name": "s", "emptyDir": volume}]},
    )
    worker = engine(gpus=2, main=main, pod=pod, sharedMemorySize=size)
    assert outcomes(shared_memory, deploy(tmp_path, graph(worker))) == expected


def test_pods_that_need_none(tmp_path: Path) -> None:
    host = engine(gpus=2, sharedMemorySize="0", pod={"hostIPC": True})
    assert outcomes(shared_memory, deploy(tmp_path / "a", graph(host))) == []
    assert outcomes(shared_memory, deploy(tmp_path / "b", graph(engine()))) == ["skip"]
