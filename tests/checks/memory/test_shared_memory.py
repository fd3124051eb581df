"""What ranks in one pod share."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynocheck.checks.memory.shared_memory import shared_memory
from tests.checks.judging import FRONTEND, GRAPH, get_skip_reason, list_messages, recipes, worker

OLD = """
apiVersion: nvidia.com/v1alpha1
kind: DynamoGraphDeployment
metadata: {name: g}
spec:
  services:
    w:
      componentType: worker
      MORE
      resources: {limits: {gpu: "2"}}
      extraPodSpec:
        mainContainer:
          command: [python3, -m, dynamo.vllm, --model, m, -tp, "2"]
"""


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("", None),
        ("sharedMemorySize: 16Gi", None),
        ("sharedMemorySize: 512Mi", "w: 2 GPUs share 512Mi of /dev/shm"),
        ('sharedMemorySize: "0"', "w: 2 GPUs share 64 MiB of /dev/shm"),
        ("sharedMemorySize: 0", "w: 2 GPUs share 64 MiB of /dev/shm"),
        ("sharedMemorySize: much", None),
    ],
)
def test_the_operator_mounts_some(tmp_path: Path, more: str, message: str | None) -> None:
    text = GRAPH + FRONTEND + worker(gpus='"2"', more=more)
    assert [m for _, m in list_messages(shared_memory, recipes(tmp_path, deploy=text))] == (
        [message] if message else []
    )


@pytest.mark.parametrize(
    ("more", "warned"),
    [
        ("", False),
        ("sharedMemory: {size: 80Gi}", False),
        ("sharedMemory: {size: 64Mi}", True),
        ("sharedMemory: {disabled: true}", True),
        ("sharedMemory: {disabled: true, size: 80Gi}", True),
        ("sharedMemory: {disabled: false}", False),
    ],
)
def test_the_older_api_says_it_otherwise(tmp_path: Path, more: str, warned: bool) -> None:
    given = recipes(tmp_path, deploy=OLD.replace("MORE", more))
    assert [outcome for outcome, _ in list_messages(shared_memory, given)] == ["warn"] * warned


@pytest.mark.parametrize(
    ("volume", "size", "message"),
    [
        ("{medium: Memory}", '"0"', None),
        ("{medium: Memory, sizeLimit: 64Gi}", '"0"', None),
        ("{medium: Memory, sizeLimit: 100M}", "16Gi", "w: 2 GPUs share 100M of /dev/shm"),
        ("{}", "16Gi", "w: /dev/shm is a volume on disk"),
        ("null", '"0"', "w: 2 GPUs share 64 MiB of /dev/shm"),
    ],
)
def test_a_volume_of_its_own_counts(tmp_path: Path, volume: str, size: str, message: str | None) -> None:
    text = worker(gpus='"2"', more=f"sharedMemorySize: {size}").replace(
        "      spec:\n", f"      spec:\n        volumes: [{{name: s, emptyDir: {volume}}}]\n"
    )
    text = text.replace(
        "          resources:",
        "          volumeMounts: [{name: s, mountPath: /dev/shm}]\n          resources:",
    )
    given = recipes(tmp_path, deploy=GRAPH + FRONTEND + text)
    assert [m for _, m in list_messages(shared_memory, given)] == ([message] if message else [])


def test_the_host_shares_its_own(tmp_path: Path) -> None:
    text = worker(gpus='"2"', more='sharedMemorySize: "0"').replace(
        "      spec:\n", "      spec:\n        hostIPC: true\n"
    )
    assert list_messages(shared_memory, recipes(tmp_path, deploy=GRAPH + FRONTEND + text)) == []


def test_one_gpu_shares_nothing(tmp_path: Path) -> None:
    assert get_skip_reason(shared_memory, recipes(tmp_path, deploy=GRAPH + FRONTEND + worker()))
