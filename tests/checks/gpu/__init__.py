from pathlib import Path
from typing import Any

from dynocheck.facts import Node, Recipes, ResourceSlice, ResourceSlices
from tests.checks.judging import deploy
from tests.checks.manifests import engine, graph

NO_SLICES = ResourceSlices(served=False)
PRESENT = {"nvidia.com/gpu.present": "true"}
WHOLE = {"nvidia.com/gpu": "8"}
H100, B200, B300, GB200 = "NVIDIA-H100-80GB-HBM3", "NVIDIA-B200", "NVIDIA-B300-SXM6-AC", "NVIDIA-GB200"
CPU = Node("cpu")


def gpu_node(product: str, *, architecture: str = "amd64", labels: dict[str, str] | None = None) -> Node:
    """A node with GPUs of a product, named after it."""
    known = {**PRESENT, "nvidia.com/gpu.product": product, **(labels or {})}
    return Node(product.lower(), labels=known, architecture=architecture)


def holding(name: str, amounts: dict[str, str], **more: Any) -> Node:
    """A node with these resources, all allocatable."""
    return Node(name, **{"capacity": amounts, "allocatable": amounts, **more})


def offer(
    node: str = "a", driver: str = "gpu.nvidia.com", devices: int = 8, **attributes: str
) -> ResourceSlices:
    """Devices that a DRA driver offers on a node."""
    return ResourceSlices((ResourceSlice("s", driver, node, devices, attributes),))


def recipe_of(folder: Path, *args: str, **worker: Any) -> Recipes:
    """The recipe of one worker that runs an engine with these arguments."""
    return deploy(folder, graph(engine(*args, **worker)))
