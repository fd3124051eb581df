from __future__ import annotations

from pathlib import Path
from typing import Any

from dynocheck.facts import Node, Recipes, ResourceSlices
from tests.checks.judging import recipes
from tests.checks.manifests import dump_objects, engine, graph

NO_SLICES = ResourceSlices(served=False)
H100, B200, B300, GB200 = "NVIDIA-H100-80GB-HBM3", "NVIDIA-B200", "NVIDIA-B300-SXM6-AC", "NVIDIA-GB200"


def gpu_node(product: str, *, architecture: str = "amd64", labels: dict[str, str] | None = None) -> Node:
    """A node with GPUs of a product, named after it."""
    known = {"nvidia.com/gpu.present": "true", "nvidia.com/gpu.product": product}
    return Node(product.lower(), labels={**known, **(labels or {})}, architecture=architecture)


def recipe_of(folder: Path, *args: str, **worker: Any) -> Recipes:
    """The recipe of one worker that runs an engine with these arguments."""
    return recipes(folder, deploy=dump_objects(graph(engine(*args, **worker))))
