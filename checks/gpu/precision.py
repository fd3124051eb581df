"""Whether the GPUs of a cluster compute in the precision that a recipe is made for."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.data.gpus import PrecisionSupport, gpu_type, parse_capability, precision_support
from dynocheck.data.images import find_image, parse_image
from dynocheck.engines.instances import find_component_instances
from dynocheck.facts import Nodes, Recipes, ResourceSlices
from dynocheck.facts.k8s.gpu import GpuNode, list_gpu_nodes
from dynocheck.facts.k8s.scheduling_constraints import Placement, list_placements
from dynocheck.facts.recipe.recipes import Component, Graph

_SHOW = (
    "kubectl get nodes -L nvidia.com/gpu.product,nvidia.com/gpu.compute.major,nvidia.com/gpu.compute.minor"
)
_PIN = "pin it by a nodeSelector of nvidia.com/gpu.product, or take a checkpoint in another precision"
_OLDEST = (8, 0)  # Ampere: the oldest generation of Dynamo's support matrix
_CUDA_13 = (10, 3)  # Blackwell Ultra: not in any CUDA 12 that Dynamo ships
# A token of a model's name or of --quantization, and the precision that it states.
_TOKENS = {
    "fp8": "fp8",
    "modelopt": "fp8",
    "modelopt-fp8": "fp8",
    "nvfp4": "nvfp4",
    "fp4": "nvfp4",
    "modelopt-fp4": "nvfp4",
    "mxfp4": "mxfp4",
}
_MODELS = {"openai/gpt-oss": "mxfp4", "deepseek-ai/deepseek-r1": "fp8", "deepseek-ai/deepseek-v3": "fp8"}
_DISTILLED = "distill"  # made of other models, in other precisions


class _EnginePrecision(NamedTuple):
    """An engine that a component starts, and the precision of what it computes with, where that is told."""

    name: str
    precision: str | None
    by: str


@check("gpu.architecture", title="The GPUs compute in the precision that the recipe asks for")
def architecture(nodes: Nodes, slices: ResourceSlices, recipes: Recipes) -> Iterator[Finding]:
    """FP8 takes Ada, Hopper or newer, NVFP4 takes Blackwell; vLLM and SGLang load either on older GPUs and
    compute in a wider precision, at a loss, and TensorRT-LLM does not. MXFP4, as of gpt-oss, runs from
    Hopper on. Dynamo supports Ampere and newer, and Blackwell Ultra (B300, GB300) takes images with CUDA 13.

    What a recipe asks for is told by --quantization or by the model's name, and where its workers may run
    by their node selectors. What a node has is told by its labels for compute capability, else by its
    product. A recipe fails when none of its nodes will do, and is warned when some will not.

    Fix: kubectl get nodes -L nvidia.com/gpu.product, and pin the workers to a product by a nodeSelector
    """
    judged = list_gpu_nodes(nodes, slices)
    if not judged:
        raise Skip("no node says that it has GPUs")
    placed = [entry for entry in list_placements(recipes) if entry[1].gpus != 0]
    if not placed:
        raise Skip("no component of the recipe asks for GPUs")
    computing = {node.name: found for node in judged if (found := _find_capability(node)) is not None}
    findings: list[Finding] = []
    reached = False
    for graph, component, placement in placed:
        findings += _check_selector(graph, component, placement, judged)
        mine = [node.name for node in judged if placement.selects(node.node) and node.name in computing]
        if mine and any(True for _ in _find_precisions(graph, component)):
            reached = True
            findings += _check_component(graph, component, {name: computing[name] for name in mine})
    if not findings and not reached:
        products = ", ".join(sorted({node.label or "no product label" for node in judged}))
        raise Skip(
            "no engine of the recipe may run on a GPU node of this cluster"
            if computing
            else f"what these GPUs compute is not known here: {products}"
        )
    yield from findings
    for node in judged:
        if node.name not in computing:
            yield warn(
                f"what its GPU computes is not known here: {node.label or 'no product label'}",
                fix="run GPU Feature Discovery, which sets nvidia.com/gpu.compute.major",
                subject=Subject("Node", node.name),
            )


def _find_capability(node: GpuNode) -> tuple[int, int] | None:
    kind = gpu_type(node.product)
    return node.compute or (kind.capability if kind else None)


def _locate(graph: Graph, component: Component) -> Location:
    return Location(graph.file, component.line, component.column)


def _check_selector(
    graph: Graph, component: Component, placement: Placement, judged: list[GpuNode]
) -> Iterator[Finding]:
    """A selector for a GPU that no node has."""
    wanted = {key: value for key, value in placement.selector.items() if key.startswith("nvidia.com/gpu.")}
    if wanted and not any(all(n.node.labels.get(k) == v for k, v in wanted.items()) for n in judged):
        said = ", ".join(f"{key}={value}" for key, value in wanted.items())
        yield fail(
            f"{component.name} selects nodes by {said}, and no node has that",
            fix=_SHOW,
            evidence={"products": sorted({node.label for node in judged})},
            location=_locate(graph, component),
        )


def _check_component(
    graph: Graph, component: Component, nodes: dict[str, tuple[int, int]]
) -> Iterator[Finding]:
    place = _locate(graph, component)
    too_old = [name for name, found in nodes.items() if found < _OLDEST]
    if too_old:
        yield warn(
            f"{component.name} may run on GPUs older than Ampere, which Dynamo does not support",
            fix=_SHOW,
            evidence={"nodes": too_old},
            location=place,
        )
    yield from _check_blackwell_ultra(component, nodes, place)
    for engine in _find_precisions(graph, component):
        row = precision_support(engine.precision, engine.name) if engine.precision else None
        if row is not None:
            yield from _check_precision(component, engine, row, nodes, place)


def _check_precision(
    component: Component,
    engine: _EnginePrecision,
    row: PrecisionSupport,
    nodes: dict[str, tuple[int, int]],
    place: Location,
) -> Iterator[Finding]:
    native = [name for name, found in nodes.items() if found >= parse_capability(row.native)]
    weights = [
        name
        for name, found in nodes.items()
        if name not in native and row.weights_only and found >= parse_capability(row.weights_only)
    ]
    unable = [name for name in nodes if name not in native and name not in weights]
    what = f"{row.precision.upper()} ({engine.by})"
    from_on = f"compute capability {row.native}"
    if unable:
        some = (
            f"{len(unable)} of {len(nodes)} nodes that it may run on" if native or weights else "these GPUs"
        )
        yield (warn if native or weights else fail)(
            f"{component.name}: {engine.name} needs {from_on} for {what}, and {some} have less",
            fix=_PIN,
            evidence={
                "nodes": {name: _format_capability(nodes[name]) for name in unable},
                "source": row.source,
            },
            location=place,
        )
    partly = [name for name, found in nodes.items() if _format_capability(found) in row.partly]
    if partly:
        yield warn(
            f"{component.name}: {engine.name} may not do {what} on some of these GPUs: {row.note}",
            fix=_PIN,
            evidence={
                "nodes": {name: _format_capability(nodes[name]) for name in partly},
                "source": row.source,
            },
            location=place,
        )
    if weights:
        hedge = f" ({row.note})" if row.note and not row.partly else ""
        yield warn(
            f"{component.name}: below {from_on} {engine.name} loads {what} weights and computes in a wider "
            f"precision{hedge}",
            fix=_PIN,
            evidence={
                "nodes": {name: _format_capability(nodes[name]) for name in weights},
                "source": row.source,
            },
            location=place,
        )


def _check_blackwell_ultra(
    component: Component, nodes: dict[str, tuple[int, int]], place: Location
) -> Iterator[Finding]:
    ultra = [name for name, found in nodes.items() if found == _CUDA_13]
    row = find_image(parse_image(component.main.image)) if component.main and component.main.image else None
    if ultra and row is not None and row.cuda.startswith("12."):
        yield (fail if len(ultra) == len(nodes) else warn)(
            f"{component.name}: B300 and GB300 need CUDA 13, and {row.image}:{row.tag} has {row.cuda}",
            fix="take the image of this release with the suffix -cuda13, or a newer release",
            evidence={"nodes": ultra, "source": row.source},
            location=place,
        )


def _format_capability(compute: tuple[int, int]) -> str:
    return f"{compute[0]}.{compute[1]}"


def _find_precisions(graph: Graph, component: Component) -> Iterator[_EnginePrecision]:
    seen = set()
    for each in find_component_instances(graph, component):
        flag = each.given.get("quantization")
        stated = str(flag.value) if flag is not None and flag.known else ""
        model = each.model or ""
        found = (
            _EnginePrecision(
                each.engine.name, _TOKENS[stated.lower().replace("_", "-")], f"--quantization {stated}"
            )
            if stated.lower().replace("_", "-") in _TOKENS
            else _EnginePrecision(each.engine.name, _guess_precision(model), f"by the name {model}")
        )
        if found not in seen:
            seen.add(found)
            yield found


def _guess_precision(model: str) -> str | None:
    """The precision that the last part of a model's name states, or that its publisher is known for."""
    name = model.rstrip("/").rpartition("/")[2].lower()
    for token in re.split(r"[-_.]", name):
        if token in _TOKENS and token != "modelopt":  # noqa: S105
            return _TOKENS[token]
    lowered = model.lower()
    if _DISTILLED in lowered or re.search(r"(int|bf|fp|w)[0-9]+|awq|gptq|gguf", name):
        return None
    return next((kind for prefix, kind in _MODELS.items() if lowered.startswith(prefix)), None)
