"""Whether the GPUs and hosts of a cluster are those that a recipe is made for."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.data.gpus import Precision, capability, gpu_type, precision
from dynocheck.data.images import find, parse
from dynocheck.engines import engine_of
from dynocheck.facts import Nodes, Recipes, ResourceSlices
from dynocheck.facts.gpu import GpuNode, gpu_nodes
from dynocheck.facts.placement import Placement, placements
from dynocheck.facts.recipe import Component, Container, Graph

_ARCH = "kubernetes.io/arch"
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


class _Engine(NamedTuple):
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
    judged = gpu_nodes(nodes, slices)
    if not judged:
        raise Skip("no node says that it has GPUs")
    placed = [entry for entry in placements(recipes) if entry[1].gpus != 0]
    if not placed:
        raise Skip("no component of the recipe asks for GPUs")
    computing = {node.name: found for node in judged if (found := _compute(node)) is not None}
    if not computing:
        products = sorted({node.label or "no product label" for node in judged})
        raise Skip(f"what these GPUs compute is not known here: {', '.join(products)}")
    for node in judged:
        if node.name not in computing:
            yield warn(
                f"what its GPU computes is not known here: {node.label or 'no product label'}",
                fix="run GPU Feature Discovery, which sets nvidia.com/gpu.compute.major",
                subject=Subject("Node", node.name),
            )
    for graph, component, placement in placed:
        candidates = {
            n.name: computing[n.name] for n in judged if n.name in computing and placement.selects(n.node)
        }
        yield from _selected(graph, component, placement, judged)
        if candidates:
            yield from _computes(graph, component, candidates)


def _compute(node: GpuNode) -> tuple[int, int] | None:
    kind = gpu_type(node.product)
    return node.compute or (kind.capability if kind else None)


def _place(graph: Graph, component: Component) -> Location:
    return Location(graph.file, component.line, component.column)


def _selected(
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
            location=_place(graph, component),
        )


def _computes(graph: Graph, component: Component, nodes: dict[str, tuple[int, int]]) -> Iterator[Finding]:
    place = _place(graph, component)
    too_old = [name for name, found in nodes.items() if found < _OLDEST]
    if too_old:
        yield warn(
            f"{component.name} may run on GPUs older than Ampere, which Dynamo does not support",
            fix=_SHOW,
            evidence={"nodes": too_old},
            location=place,
        )
    yield from _blackwell_ultra(component, nodes, place)
    for engine in _engines(graph, component):
        row = precision(engine.precision, engine.name) if engine.precision else None
        if row is not None:
            yield from _precise(component, engine, row, nodes, place)


def _precise(
    component: Component, engine: _Engine, row: Precision, nodes: dict[str, tuple[int, int]], place: Location
) -> Iterator[Finding]:
    native = [name for name, found in nodes.items() if found >= capability(row.native)]
    weights = [
        name
        for name, found in nodes.items()
        if name not in native and row.weights_only and found >= capability(row.weights_only)
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
            evidence={"nodes": {name: _written(nodes[name]) for name in unable}, "source": row.source},
            location=place,
        )
    if weights:
        yield warn(
            f"{component.name}: below {from_on} {engine.name} loads {what} weights and computes in a wider "
            f"precision{' (' + row.note + ')' if row.note else ''}",
            fix=_PIN,
            evidence={"nodes": {name: _written(nodes[name]) for name in weights}, "source": row.source},
            location=place,
        )


def _blackwell_ultra(
    component: Component, nodes: dict[str, tuple[int, int]], place: Location
) -> Iterator[Finding]:
    ultra = [name for name, found in nodes.items() if found == _CUDA_13]
    row = find(parse(component.main.image)) if component.main and component.main.image else None
    if ultra and row is not None and row.cuda.startswith("12."):
        yield (fail if len(ultra) == len(nodes) else warn)(
            f"{component.name}: B300 and GB300 need CUDA 13, and {row.image}:{row.tag} has {row.cuda}",
            fix="take the image of this release with the suffix -cuda13, or a newer release",
            evidence={"nodes": ultra, "source": row.source},
            location=place,
        )


def _written(compute: tuple[int, int]) -> str:
    return f"{compute[0]}.{compute[1]}"


def _engines(graph: Graph, component: Component) -> Iterator[_Engine]:
    seen = set()
    for container in component.containers:
        for launch in container.launches:
            engine = engine_of(launch)
            if engine is None:
                continue
            given = engine.arguments(container, launch, graph.file)
            flag = given.get("quantization")
            stated = str(flag.value) if flag is not None and flag.known else ""
            model = engine.model(given) or ""
            found = (
                _Engine(engine.name, _TOKENS[stated.lower().replace("_", "-")], f"--quantization {stated}")
                if stated.lower().replace("_", "-") in _TOKENS
                else _Engine(engine.name, _of_model(model), f"by the name {model}")
            )
            if found not in seen:
                seen.add(found)
                yield found


def _of_model(model: str) -> str | None:
    """The precision that the last part of a model's name states, or that its publisher is known for."""
    name = model.rstrip("/").rpartition("/")[2].lower()
    for token in re.split(r"[-_.]", name):
        if token in _TOKENS and token != "modelopt":  # noqa: S105
            return _TOKENS[token]
    lowered = model.lower()
    if _DISTILLED in lowered or re.search(r"(int|bf|fp|w)[0-9]+|awq|gptq|gguf", name):
        return None
    return next((kind for prefix, kind in _MODELS.items() if lowered.startswith(prefix)), None)


@check("gpu.image-arch", title="The recipe's images are made for the CPUs of the nodes")
def image_arch(nodes: Nodes, slices: ResourceSlices, recipes: Recipes) -> Iterator[Finding]:
    """GB200, GB300 and GH200 have Arm CPUs: an image for amd64 alone does not start there (exec format
    error), and neither does one for arm64 elsewhere.

    Dynamo's release notes tell the architectures of its images; of any other image nothing is guessed, nor
    from the tag -efa-amd64, which named images that were multi-architecture all the same.

    Fix: docker manifest inspect IMAGE, and take a multi-architecture one or pin kubernetes.io/arch
    """
    judged = gpu_nodes(nodes, slices)
    if not judged:
        raise Skip("no node says that it has GPUs")
    if all(_host(node) == "amd64" for node in judged) and not _pinned(recipes):
        raise Skip("every GPU node is amd64, which every image of Dynamo is made for")
    seen = set()
    for graph, component, placement in placements(recipes):
        if component.gpus == 0:
            continue
        hosts = {host for node in judged if placement.selects(node.node) and (host := _host(node))}
        yield from _reached(graph, component, placement, judged)
        for container in component.containers:
            if container.image and (key := (container.image, tuple(sorted(hosts)))) not in seen:
                seen.add(key)
                yield from _images(graph, container, hosts)


def _host(node: GpuNode) -> str:
    kind = gpu_type(node.product)
    return node.node.architecture or node.node.labels.get(_ARCH, "") or (kind.host if kind else None) or ""


def _pinned(recipes: Recipes) -> bool:
    return any(_ARCH in placed.selector for _, _, placed in placements(recipes))


def _reached(
    graph: Graph, component: Component, placement: Placement, judged: list[GpuNode]
) -> Iterator[Finding]:
    wanted = placement.selector.get(_ARCH)
    hosts = {_host(node) for node in judged}
    if wanted and wanted not in hosts and "" not in hosts:
        yield fail(
            f"{component.name} selects {_ARCH}={wanted}, and the GPU nodes are {', '.join(sorted(hosts))}",
            fix=f"kubectl get nodes -L {_ARCH},nvidia.com/gpu.product",
            location=_place(graph, component),
        )


def _images(graph: Graph, container: Container, hosts: set[str]) -> Iterator[Finding]:
    row = find(parse(container.image or ""))
    place = Location(graph.file, container.line, container.column)
    fix = f"docker manifest inspect {container.image} | grep architecture"
    if row is not None and row.architectures:
        missing = hosts - set(row.architectures)
        if missing:
            yield (fail if missing == hosts else warn)(
                f"{container.image} is made for {', '.join(row.architectures)}, and it may run on "
                f"{', '.join(sorted(missing))} nodes",
                fix=fix,
                evidence={"source": row.source},
                location=place,
            )
    elif arm := ", ".join(sorted(hosts - {"amd64"})):
        why = row.note if row is not None and row.note else "this table does not have it"
        yield warn(
            f"whether {container.image} is made for {arm} is not known here: {why}",
            fix=fix,
            location=place,
        )
