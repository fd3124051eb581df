"""Situations of the capacity checks, which only run with a recipe."""

from __future__ import annotations

from tests import clusters
from tests.controlplane.server import ControlPlane
from tests.situations import Situation

RECIPE = "recipes/qwen3-32b/vllm/agg-round-robin"  # eight workers of two GPUs


def gpus_taken(cluster: ControlPlane) -> None:
    for name in clusters.GPU_NODES:
        cluster.pod(f"trainer-{name}", node=name, gpus=4)


def gpus_taken_by_the_finished(cluster: ControlPlane) -> None:
    for name in clusters.GPU_NODES:
        cluster.pod(f"trainer-{name}", node=name, gpus=8, phase="Succeeded")


def all_cordoned(cluster: ControlPlane) -> None:
    for name in clusters.GPU_NODES:
        cluster.kubectl("cordon", name)


def quota(cluster: ControlPlane, hard: dict[str, str]) -> None:
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "team", "namespace": "default"},
            "spec": {"hard": hard},
            "status": {"hard": hard, "used": dict.fromkeys(hard, "0")},
        }
    )


def quota_of_fifteen_gpus(cluster: ControlPlane) -> None:
    quota(cluster, {"requests.nvidia.com/gpu": "15"})


def quota_of_sixteen_gpus(cluster: ControlPlane) -> None:
    quota(cluster, {"requests.nvidia.com/gpu": "16"})


def quota_of_limits(cluster: ControlPlane) -> None:
    quota(cluster, {"limits.cpu": "1000"})


def small_containers_only(cluster: ControlPlane) -> None:
    limit = {"type": "Container", "max": {"nvidia.com/gpu": "1"}}
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {"name": "small", "namespace": "default"},
            "spec": {"limits": [limit]},
        }
    )


SITUATIONS = [
    Situation(
        "GPUs taken",
        gpus_taken,
        {"capacity.fits": "fail"},
        says="2 of 8 replicas cannot be scheduled: needs 2 nvidia.com/gpu; the best node, gpu-",
        recipe=RECIPE,
    ),
    Situation("GPUs of finished pods", gpus_taken_by_the_finished, recipe=RECIPE),
    Situation(
        "all nodes cordoned",
        all_cordoned,
        {"capacity.fits": "fail", "gpu.nodes-ready": "warn"},
        says="is cordoned",
        recipe=RECIPE,
    ),
    Situation(
        "quota of fifteen GPUs",
        quota_of_fifteen_gpus,
        {"capacity.quota-fits": "fail"},
        "team",
        says="needs 16 requests.nvidia.com/gpu; 15 of 15 are left",
        recipe=RECIPE,
    ),
    Situation("quota of sixteen GPUs", quota_of_sixteen_gpus, {"capacity.quota-fits": "pass"}, recipe=RECIPE),
    Situation(
        "quota of limits",
        quota_of_limits,
        {"capacity.quota-fits": "pass", "platform.quota": "fail"},
        "team",
        says="does not set limits.cpu",
        recipe=RECIPE,
    ),
    Situation(
        "a limit range for small containers",
        small_containers_only,
        {"platform.limit-range": "fail"},
        "small",
        says="has 2 nvidia.com/gpu, more than the maximum 1",
        recipe=RECIPE,
    ),
]
