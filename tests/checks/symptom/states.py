"""What runs in a namespace, in few words."""

from typing import Any

from dynocheck.facts import Condition, ContainerState, DeployedPod, NamespaceState

NOW = "2026-11-29T12:00:00Z"
TEN_MINUTES_AGO = "2026-11-29T11:50:00Z"
YESTERDAY = "2026-11-28T12:00:00Z"


def make_state(*pods: DeployedPod, **fields: Any) -> NamespaceState:
    return NamespaceState(namespace="models", taken=NOW, pods=pods, **fields)


def make_pod(*containers: ContainerState, **fields: Any) -> DeployedPod:
    """A pod that was made ten minutes ago and runs on a node."""
    ready = all(container.ready for container in containers)
    return DeployedPod(
        **{
            "name": "w-1",
            "created": TEN_MINUTES_AGO,
            "phase": "Running",
            "node": "gpu-1",
            "conditions": (Condition("Ready", str(ready)),),
            **fields,
        },
        containers=containers,
    )


def make_container(**fields: Any) -> ContainerState:
    """A container that has run for ten minutes and is ready."""
    return ContainerState(
        **{"name": "main", "ready": True, "started": True, "running_since": TEN_MINUTES_AGO, **fields}
    )
