"""What to do about a GPU, from the mildest step to the hardest."""

from typing import Any

from dynocheck import Skip, Subject
from dynocheck.facts import NodeGpu, NodeGpus

WATCH = "watch it: nothing needs to be done now"
RESTART_POD = "restart the pod; the GPU itself is fine"
RESET = "reset the GPU when it is idle: nvidia-smi --gpu-reset -i INDEX"
REBOOT = "drain the node and reboot it"
REPLACE = "drain the node, and have the GPU replaced"


def describe_step(step: str, gpu: NodeGpu) -> str:
    """A step for this GPU."""
    return step.replace("INDEX", str(gpu.index))


def name_gpu(gpu: NodeGpu) -> Subject:
    return Subject("GPU", str(gpu.index))


def require_gpus(gpus: NodeGpus) -> tuple[NodeGpu, ...]:
    """The GPUs that can be judged.

    :raises Skip: there is none.
    """
    if not gpus.usable:
        raise Skip(gpus.absent or "no GPU here")
    return gpus.usable


def require_known(gpus: NodeGpus, field: str, what: str) -> list[tuple[NodeGpu, Any]]:
    """Each GPU of which NVML tells this, with the value.

    :raises Skip: there is none.
    """
    known = [(gpu, getattr(gpu, field)) for gpu in require_gpus(gpus)]
    known = [(gpu, value) for gpu, value in known if value is not None]
    if not known:
        raise Skip(f"NVML tells no {what} of these GPUs")
    return known
