"""What ranks in one pod share."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.memory.shared_memory import shared_memory
from tests.checks.judging import deploy, outcomes
from tests.checks.manifests import engine, graph


def share(**component: Any) -> dict[str, Any]:
    """A graph with a worker of two GPUs."""
    return graph(engine(gpus=2, **component))


def mount(volume: dict[str, str] | None, size: str) -> dict[str, Any]:
    """The same with a volume of its own."""
    main = {"volumeMounts": [{"name": "s", "mountPath": "/dev/shm"}]}
    return share(main=main, pod={"volumes": [{"name": "s", "emptyDir": volume}]}, sharedMemorySize=size)


def share_by_old_api(**shared: Any) -> dict[str, Any]:
    main = {"command": ["python3", "-m", "dynamo.vllm", "--model", "m", "-tp", "2"]}
    more = {"sharedMemory": shared} if shared else {}
    limits = {"resources": {"limits": {"gpu": "2"}}}
    worker = {"componentType": "worker", **limits, **more, "extraPodSpec": {"mainContainer": main}}
    return graph() | {"apiVersion": "nvidia.com/v1alpha1", "spec": {"services": {"w": worker}}}


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        # the operator mounts some
        (share(), []),
        (share(sharedMemorySize="16Gi"), []),
        (share(sharedMemorySize="512Mi"), ["warn"]),
        (share(sharedMemorySize="0"), ["warn"]),
        (share(sharedMemorySize=0), ["warn"]),
        (share(sharedMemorySize="much"), []),
        (share_by_old_api(), []),
        (share_by_old_api(size="80Gi"), []),
        (share_by_old_api(size="64Mi"), ["warn"]),
        (share_by_old_api(disabled=True), ["warn"]),
        (share_by_old_api(disabled=True, size="80Gi"), ["warn"]),
        (share_by_old_api(disabled=False), []),
        # a volume of its own counts
        (mount({"medium": "Memory"}, "0"), []),
        (mount({"medium": "Memory", "sizeLimit": "64Gi"}, "0"), []),
        (mount({"medium": "Memory", "sizeLimit": "100M"}, "16Gi"), ["warn"]),
        (mount({}, "16Gi"), ["warn"]),  # on disk
        (mount(None, "0"), ["warn"]),
        (share(sharedMemorySize="0", pod={"hostIPC": True}), []),
        (graph(engine()), ["skip"]),  # one GPU shares nothing
    ],
)
def test_shared_memory(tmp_path: Path, one: dict[str, Any], expected: list[str]) -> None:
    assert outcomes(shared_memory, deploy(tmp_path, one)) == expected


@pytest.mark.parametrize(
    ("name", "path", "expected"),
    [("dshm", "/dev/shim", ["warn"]), ("dshm", "/dev/shm", []), ("scratch", "/tmp", [])],
)
def test_a_volume_for_shared_memory_that_is_mounted_elsewhere_is_told(
    tmp_path: Path, name: str, path: str, expected: list[str]
) -> None:
    pod = {
        "volumes": [{"name": name, "emptyDir": {"medium": "Memory"}}],
        "containers": [{"name": "a", "image": "b:1", "volumeMounts": [{"name": name, "mountPath": path}]}],
    }
    workload = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": pod}
    given = deploy(tmp_path, workload)
    assert [each for each in outcomes(shared_memory, given) if each != "skip"] == expected


@pytest.mark.parametrize("mounted", [True, False])
def test_a_server_without_memory_is_told_once(tmp_path: Path, mounted: bool) -> None:
    server = {
        "name": "server",
        "image": "vllm/vllm-openai:v0.9.0",
        "args": ["--model", "m", "--tensor-parallel-size", "2"],
        "resources": {"limits": {"nvidia.com/gpu": 2}},
        "volumeMounts": [{"name": "dshm", "mountPath": "/dev/shim"}] if mounted else [],
    }
    volumes = [{"name": "dshm", "emptyDir": {"medium": "Memory"}}]
    pod = {"containers": [server], "volumes": volumes}
    workload = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": pod}
    assert outcomes(shared_memory, deploy(tmp_path, workload)) == ["warn"]


@pytest.mark.parametrize(
    ("image", "gpus", "size", "expected"),
    [
        ("registry.example/server:1", 2, "64Mi", ["warn"]),
        ("registry.example/server:1", 2, "16Gi", []),
        ("registry.example/server:1", 1, "64Mi", []),
        ("ghcr.io/ggml-org/llama.cpp:server-cuda", 2, "64Mi", []),
    ],
)
def test_the_size_counts_whatever_the_pod_runs(
    tmp_path: Path, image: str, gpus: int, size: str, expected: list[str]
) -> None:
    container = {
        "name": "a",
        "image": image,
        "resources": {"limits": {"nvidia.com/gpu": gpus}},
        "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],
    }
    volumes = [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": size}}]
    pod = {"volumes": volumes, "containers": [container]}
    workload = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": pod}
    found = outcomes(shared_memory, deploy(tmp_path, workload))
    assert [each for each in found if each != "skip"] == expected


def test_the_operator_of_ray_mounts_memory(tmp_path: Path) -> None:
    server = {
        "name": "head",
        "image": "vllm/vllm-openai:v0.9.0",
        "command": ["vllm", "serve", "m", "--tensor-parallel-size", "2"],
        "resources": {"limits": {"nvidia.com/gpu": 2}},
    }
    head = {"rayStartParams": {}, "template": {"spec": {"containers": [server]}}}
    cluster = {"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {"name": "r"}}
    given = deploy(tmp_path, cluster | {"spec": {"headGroupSpec": head}})
    assert outcomes(shared_memory, given) == []


def test_a_medium_that_the_kubelet_does_not_know_fails(tmp_path: Path) -> None:
    assert outcomes(shared_memory, deploy(tmp_path, mount({"medium": "memory"}, "16Gi"))) == ["fail"]


def test_a_server_that_is_a_sidecar_has_its_own_mount(tmp_path: Path) -> None:
    server = {
        "name": "server",
        "image": "vllm/vllm-openai:v0.9.0",
        "restartPolicy": "Always",
        "args": ["--model", "m", "--tensor-parallel-size", "2"],
        "resources": {"limits": {"nvidia.com/gpu": 2}},
        "volumeMounts": [{"name": "s", "mountPath": "/dev/shm"}],
    }
    client = {"name": "client", "image": "registry.example/client:1"}
    volumes = [{"name": "s", "emptyDir": {"medium": "Memory"}}]
    pod = {"initContainers": [server], "containers": [client], "volumes": volumes, "restartPolicy": "Never"}
    template = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "w"}}
    workload = template | {"spec": {"template": {"spec": pod}}}
    assert outcomes(shared_memory, deploy(tmp_path, workload)) == []
    server["volumeMounts"] = []
    assert outcomes(shared_memory, deploy(tmp_path, workload)) == ["warn"]
