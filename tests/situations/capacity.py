"""Situations of the capacity checks, which only run with a recipe."""

from tests import clusters
from tests.clusters.objects import make_object
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane
from tests.situations import Change, Situation, applied, with_recipe

RECIPE = "recipes/qwen3-32b/vllm/agg-round-robin"  # eight workers of two GPUs
SMALL = {"limits": [{"type": "Container", "max": {"nvidia.com/gpu": "1"}}]}


def gpus_taken(count: int, phase: str = "Running") -> Change:
    def change(cluster: ControlPlane) -> None:
        for name in clusters.GPU_NODES:
            cluster.pod(f"trainer-{name}", node=name, gpus=count, phase=phase)

    return change


def all_cordoned(cluster: ControlPlane) -> None:
    for name in clusters.GPU_NODES:
        cluster.kubectl("cordon", name)


def quota(**hard: str) -> Object:
    status = {"hard": hard, "used": dict.fromkeys(hard, "0")}
    return make_object("ResourceQuota", "team", "default", spec={"hard": hard}, status=status)


def quota_of_gpus(count: int) -> Change:
    return applied(quota(**{"requests.nvidia.com/gpu": str(count)}))


SITUATIONS = with_recipe(
    RECIPE,
    Situation("GPUs taken", gpus_taken(4), {"capacity.fits": "fail"}, says="2 of 8 replicas"),
    Situation("GPUs of finished pods", gpus_taken(8, "Succeeded")),
    Situation(
        "all nodes cordoned",
        all_cordoned,
        {"capacity.fits": "fail", "gpu.nodes-ready": "warn"},
        says="cordoned",
    ),
    Situation(
        "quota of fifteen GPUs",
        quota_of_gpus(15),
        {"capacity.quota-fits": "fail"},
        "team",
        says="16 requests.nvidia.com/gpu",
    ),
    Situation("quota of sixteen GPUs", quota_of_gpus(16), {"capacity.quota-fits": "pass"}),
    Situation(
        "quota of limits",
        applied(quota(**{"limits.cpu": "1000"})),
        {"capacity.quota-fits": "pass", "platform.quota": "fail"},
        "team",
        says="limits.cpu",
    ),
    Situation(
        "a limit range for small containers",
        applied(make_object("LimitRange", "small", "default", spec=SMALL)),
        {"platform.limit-range": "fail"},
        "small",
        says="2 nvidia.com/gpu",
    ),
)
