"""Graphs, running pods and quotas for the tests of capacity checks."""

from pathlib import Path
from typing import Any

from dynocheck.facts import NamespaceLimits, Quota, Recipes, RunningPod
from tests.checks.judging import deploy
from tests.checks.manifests import engine, graph

GPU = "nvidia.com/gpu"
OWN = {"nvidia.com/dynamo-graph-deployment-name": "g"}
LIMITS = NamespaceLimits(namespace="here")


def holding(node_name: str, gpus: int, namespace: str = "other", **more: Any) -> RunningPod:
    return RunningPod(namespace=namespace, name="p", node=node_name, requests={GPU: gpus}, **more)


def workers(replicas: int, *, gpus: int = 8, name: str = "decode", **more: Any) -> dict[str, Any]:
    return engine(name=name, role=name, gpus=gpus, replicas=replicas, **more)


def load(folder: Path, *components: dict[str, Any], namespace: str | None = None) -> Recipes:
    """A graph of just these components."""
    made = graph(*components, front=False)
    if namespace:
        made["metadata"]["namespace"] = namespace
    return deploy(folder, made)


def gpus_left(hard: str, used: str = "0", **more: Any) -> tuple[Quota, ...]:
    """A quota of GPUs."""
    resource = f"requests.{GPU}"
    return (Quota(name="team", hard={resource: hard}, used={resource: used}, **more),)
