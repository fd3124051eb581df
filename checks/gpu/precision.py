"""gpu.architecture: the precision of the recipe's engines against the GPUs' compute capability."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from dynocheck import Finding, Location, Result, Skip, Subject, check, fail, judged, unjudged, warn
from dynocheck.data.gpus import PrecisionSupport, gpu_type, parse_capability, precision_support
from dynocheck.data.images import find_image, parse_image
from dynocheck.data.models import WeightPrecisions, find_model
from dynocheck.engines.instances import find_component_instances
from dynocheck.facts import (
    Component,
    GpuNode,
    Graph,
    Nodes,
    Placement,
    Recipes,
    ResourceSlices,
    list_gpu_nodes,
    list_placements,
)

_SHOW = (
    "kubectl get nodes -L nvidia.com/gpu.product,nvidia.com/gpu.compute.major,nvidia.com/gpu.compute.minor"
)
_PIN = "pin it with a nodeSelector on nvidia.com/gpu.product, or use a checkpoint in another precision"
_OLDEST = (8, 0)  # Ampere: the oldest generation of Dynamo's support matrix
_CUDA_13 = (10, 3)  # Blackwell Ultra: not in any CUDA 12 that Dynamo ships
# The precision behind each token of a model's name or value of --quantization.
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
_DISTILLED = "distill"  # distilled into other base models, which have other precisions
_Capability = tuple[int, int]


class _EnginePrecision(NamedTuple):
    """The name of an engine, the precision it computes in (None if unknown), and where that is stated.

    `is_plain` is whether its weights are known to be 16-bit, which every GPU of Dynamo's computes in.
    """

    engine: str
    precision: str | None
    source: str
    is_plain: bool = False


@check("gpu.architecture", title="The GPUs support the recipe's precision")
def architecture(nodes: Nodes, slices: ResourceSlices, recipes: Recipes) -> Iterator[Result]:
    """FP8 needs Ada, Hopper or newer, NVFP4 needs Blackwell. On older GPUs vLLM and SGLang load such weights
    and compute in a wider precision, slower; TensorRT-LLM does not start. MXFP4 (gpt-oss) runs from
    Hopper on. Dynamo supports Ampere and newer; Blackwell Ultra (B300, GB300) needs images with CUDA 13.

    The precision comes from --quantization or the model's name, the nodes of a worker from its node selectors
    and affinity, and a node's compute capability from its labels or else its GPU product. A worker fails when
    none of its nodes supports the precision, and warns when some do not.

    Fix: kubectl get nodes -L nvidia.com/gpu.product, and pin the workers to a product with a nodeSelector
    """
    gpu_nodes = list_gpu_nodes(nodes, slices)
    if not gpu_nodes:
        raise Skip("no GPU node found")
    workers = [entry for entry in list_placements(recipes, servers=True) if entry[1].gpus != 0]
    if not workers:
        raise Skip("no component of the recipe requests GPUs")
    capabilities = {node.name: found for node in gpu_nodes if (found := _find_capability(node)) is not None}
    results: list[Result] = list(_list_unknown_gpus(gpu_nodes, capabilities))
    for graph, component, placement in workers:
        results += _check_selector(graph, component, placement, gpu_nodes)
        usable = [n.name for n in gpu_nodes if n.name in capabilities and placement.selects(n.node)]
        engines = list(_find_precisions(graph, component)) if usable else []
        if engines:
            location = _locate(graph, component)
            results += _check_component(component, engines, {n: capabilities[n] for n in usable}, location)
            results += _count_precisions(component, engines, location)
    if not results:
        raise Skip("no engine of the recipe can run on a GPU node of this cluster")
    yield from results


def _find_capability(node: GpuNode) -> _Capability | None:
    gpu = gpu_type(node.product)
    return node.compute or (gpu.capability if gpu else None)


def _locate(graph: Graph, component: Component) -> Location:
    return Location(graph.file, component.line, component.column)


def _list_unknown_gpus(gpu_nodes: list[GpuNode], capabilities: dict[str, _Capability]) -> Iterator[Result]:
    for node in gpu_nodes:
        if node.name not in capabilities:
            yield unjudged(
                f"Node {node.name}: {node.label or 'no product label'}",
                why="the compute capability of its GPU is unknown",
                needs="GPU Feature Discovery, which sets nvidia.com/gpu.compute.major",
                subject=Subject("Node", node.name),
            )


def _count_precisions(
    component: Component, engines: list[_EnginePrecision], location: Location
) -> Iterator[Result]:
    """The engines whose precision is known, and those for which neither flag, name nor table tells it."""
    for engine in engines:
        if engine.precision or engine.is_plain:
            yield judged(1, "engines")
        else:
            yield unjudged(
                f"{component.name}: {engine.source.removeprefix('by the name ') or 'model'}",
                why="the precision of its weights is unknown",
                needs="--quantization, or a model whose name states it",
                location=location,
            )


def _check_selector(
    graph: Graph, component: Component, placement: Placement, judged: list[GpuNode]
) -> Iterator[Finding]:
    """Fail a nodeSelector for a GPU that no node has."""
    wanted = {key: value for key, value in placement.selector.items() if key.startswith("nvidia.com/gpu.")}
    if wanted and not any(wanted.items() <= node.node.labels.items() for node in judged):
        selector = ", ".join(f"{key}={value}" for key, value in wanted.items())
        yield fail(
            f"{component.name} selects {selector}, but no GPU node has these labels",
            fix=_SHOW,
            evidence={"products": sorted({node.label for node in judged})},
            location=_locate(graph, component),
        )


def _check_component(
    component: Component,
    engines: list[_EnginePrecision],
    nodes: dict[str, _Capability],
    location: Location,
) -> Iterator[Finding]:
    too_old = [name for name, capability in nodes.items() if capability < _OLDEST]
    if too_old:
        yield warn(
            f"{component.name} can be scheduled on GPUs older than Ampere, which Dynamo does not support",
            fix=_SHOW,
            evidence={"nodes": too_old},
            location=location,
        )
    yield from _check_blackwell_ultra(component, nodes, location)
    for engine in engines:
        support = precision_support(engine.precision, engine.engine) if engine.precision else None
        if support is not None:
            yield from _check_precision(component, engine, support, nodes, location)


def _check_precision(
    component: Component,
    engine: _EnginePrecision,
    support: PrecisionSupport,
    nodes: dict[str, _Capability],
    location: Location,
) -> Iterator[Finding]:
    """Compare what one engine needs for its precision with the nodes that the component can run on."""
    native = parse_capability(support.native)
    lowest = min(native, parse_capability(support.weights_only)) if support.weights_only else native
    unable = [name for name, capability in nodes.items() if capability < lowest]
    weights_only = [name for name, capability in nodes.items() if lowest <= capability < native]
    partly = [name for name, capability in nodes.items() if _format_capability(capability) in support.partly]
    what = f"{support.precision.upper()} ({engine.source})"

    def report(outcome: Callable[..., Finding], affected: list[str], message: str) -> Finding:
        evidence = {name: _format_capability(nodes[name]) for name in affected}
        return outcome(
            f"{component.name}: {engine.engine} {message}",
            fix=_PIN,
            evidence={"nodes": evidence, "source": support.source},
            location=location,
        )

    if unable:
        some = len(unable) < len(nodes)
        where = f"{len(unable)} of its {len(nodes)} possible nodes have" if some else "these GPUs have"
        needs = f"needs compute capability {support.native} for {what}, but {where} less"
        yield report(warn if some else fail, unable, needs)
    if partly:
        yield report(warn, partly, f"may not support {what} on some of these GPUs: {support.note}")
    if weights_only:
        note = f" ({support.note})" if support.note and not support.partly else ""
        below = f"on GPUs below compute capability {support.native}"
        yield report(
            warn, weights_only, f"loads {what} weights {below} but computes in a wider precision{note}"
        )


def _check_blackwell_ultra(
    component: Component, nodes: dict[str, _Capability], location: Location
) -> Iterator[Finding]:
    ultra = [name for name, capability in nodes.items() if capability == _CUDA_13]
    row = find_image(parse_image(component.main.image)) if component.main and component.main.image else None
    if ultra and row is not None and row.cuda.startswith("12."):
        yield (fail if len(ultra) == len(nodes) else warn)(
            f"{component.name}: B300 and GB300 need CUDA 13, but {row.image}:{row.tag} has {row.cuda}",
            fix="use this release's image with the suffix -cuda13, or a newer release",
            evidence={"nodes": ultra, "source": row.source},
            location=location,
        )


def _format_capability(capability: _Capability) -> str:
    return f"{capability[0]}.{capability[1]}"


def _find_precisions(graph: Graph, component: Component) -> Iterator[_EnginePrecision]:
    """Each distinct engine and precision of a component; --quantization goes before the model's name."""
    seen = set()
    for instance in find_component_instances(graph, component):
        flag = instance.given.get("quantization")
        value = str(flag.value) if flag is not None and flag.known else ""
        model = instance.model or ""
        precision, source = _TOKENS.get(value.lower().replace("_", "-")), f"--quantization {value}"
        if precision is None:
            precision, source = _guess_precision(model), f"by the name {model}"
        row = find_model(model)
        plain = row is not None and row.stored == WeightPrecisions()
        found = _EnginePrecision(instance.engine.name, precision, source, plain)
        if found not in seen:
            seen.add(found)
            yield found


def _guess_precision(model: str) -> str | None:
    """The precision stated in the last part of a model's name, or known for its publisher's models."""
    name = model.rstrip("/").rpartition("/")[2].lower()
    for token in re.split(r"[-_.]", name):
        if token in _TOKENS and token != "modelopt":  # noqa: S105
            return _TOKENS[token]
    lowered = model.lower()
    if _DISTILLED in lowered or re.search(r"(int|bf|fp|w)[0-9]+|awq|gptq|gguf", name):
        return None
    return next((precision for prefix, precision in _MODELS.items() if lowered.startswith(prefix)), None)
