"""Checks that parallel sizes divide models, and that pods fit nodes."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, same_place
from dynocheck.checks.memory._coverage import describe_unsized
from dynocheck.core.fixes import set_argument, set_gpus, set_value
from dynocheck.data import gpus
from dynocheck.data.flags import dynamo_release, engine_versions
from dynocheck.data.models import Model
from dynocheck.engines.memory_budget import PRODUCT_LABELS, SizedEngine, size_engines
from dynocheck.engines.model_lookup import add_hub_configs
from dynocheck.engines.rejected_parallel_args import has_rejected_parallel_args
from dynocheck.facts import (
    POD_TEMPLATE_PATHS,
    HubModels,
    Manifest,
    Recipes,
    Value,
    list_placements,
    parse_quantity,
    read_pod_templates,
)

_LARGEST_NODE = 16  # GPUs of the largest node that any vendor sells
# vLLM's Fp8MoEMethod of these releases refuses to load partial blocks; later ones load them.
_VLLM_OF_WHOLE_BLOCKS = ("0.16.0", "0.19.0", "0.20.1", "0.23.0", "0.26.0", "0.28.0")
_NATIVE = ("kubernetes.io/", "requests.", "hugepages-")
_Problem = tuple[str, str]  # what is wrong, and the argument that it is in


@check(
    "parallelism.requests-equal-limits",
    title="Device requests equal limits",
    explained_by={"manifest.schema": same_place},
)
def requests_equal_limits(recipes: Recipes) -> Iterator[Finding]:
    """The API server rejects a pod whose request of GPUs or RDMA devices differs from its limit: such
    resources cannot be overcommitted. The graph is accepted, and its pods never appear.

    A limit alone is enough; the request defaults to it. `gpu` of v1alpha1 is a name for nvidia.com/gpu.

    Fix: give limits and requests the same number, or leave the request out
    """
    entries = [
        entry for recipe in recipes for manifest in recipe.manifests for entry in _list_resources(manifest)
    ]
    if not entries:
        raise Skip("no graph, and no pod of a custom resource, requests resources")
    for manifest, resources, around in entries:
        limits = _select_devices(around) | _select_devices(resources.get("limits"))
        for name, request in _select_devices(resources.get("requests")).items():
            limit = limits.get(name)
            if limit is not None and not _differ(request, limit):
                continue
            side = "limits" if limit is None else "requests"
            is_short = resources.get("requests", "gpu") is request
            yield fail(
                f"{name}: request {request.data}, {f'limit {limit.data}' if limit else 'no limit'}",
                fix=set_value(f"{side}.gpu" if is_short else f"{side}[{name}]", (limit or request).data),
                location=Location(manifest.file, request.line, request.column),
            )


@check("parallelism.fits-node", title="No pod requests more GPUs than the largest node has")
def fits_node(recipes: Recipes) -> Iterator[Finding]:
    """A pod runs on one node: a pod that requests more GPUs than any node has stays Pending. A larger model
    is spread over nodes by multinode.nodeCount.

    The size of a node follows from the GPU product that the pods must run on: 4 for GB200 and GB300, 8 for
    H200. For other products, and without one, it is the largest node that any vendor sells.

    Fix: set multinode.nodeCount, and nvidia.com/gpu to the number of GPUs in one node
    """
    judged = False
    for graph, component, placement in list_placements(recipes, servers=True):
        if not component.gpus:
            continue
        judged = True
        products = placement.find_required_values(*PRODUCT_LABELS) or frozenset()
        most = gpus.max_per_node(products) or _LARGEST_NODE
        if component.gpus > most:
            node = (
                f"a node of {' or '.join(sorted(products))}" if most < _LARGEST_NODE else "the largest node"
            )
            yield fail(
                f"{component.name}: a pod requests {component.gpus} GPUs, {node} has {most}",
                fix=set_gpus(graph, component, most)
                + f"; {set_value('multinode.nodeCount', -(-component.gpus // most) * component.nodes)}",
                location=Location(graph.file, component.line, component.column),
            )
    if not judged:
        raise Skip("no component whose manifest counts GPUs")


@check("parallelism.heads-divide", title="Tensor parallel size divides the attention heads")
def heads_divide(recipes: Recipes, models: HubModels | None = None) -> Iterator[Result]:
    """Each rank computes whole attention heads: an engine does not start if the ranks do not divide them.
    Key-value heads are divided too, or repeated if there are more ranks; vLLM and SGLang require one of the
    two numbers to be a multiple of the other.

    Fix: choose a tensor parallel size that divides the model's num_attention_heads
    """
    for engine in _list_engines(recipes, models):
        if engine.model is None or engine.budget is None:
            yield describe_unsized(engine)
            continue
        yield judged(1, "engines")
        if _check_ranks(engine) is not None:
            continue  # experts_divide reports it
        model, ranks = engine.model, engine.budget.sharding.attention
        trtllm = engine.instance.engine.name.startswith("trtllm")
        if model.heads % ranks:
            problem = f"{model.heads} attention heads do not divide over {ranks} ranks"
            yield _report_undivided(engine, problem, fix=_suggest_ranks(engine, model))
        elif not model.latent and not trtllm and _is_uneven(model.kv_heads, ranks):
            problem = f"{model.kv_heads} key-value heads do not divide evenly over {ranks} ranks"
            yield _report_undivided(engine, problem, fix=_suggest_ranks(engine, model))
        elif not trtllm and any(number % ranks for number in model.state_heads):
            numbers = " and ".join(map(str, model.state_heads))
            problem = (
                f"layers with a state have {numbers} heads or groups, which do not divide over {ranks} ranks"
            )
            yield _report_undivided(engine, problem, fix=_suggest_ranks(engine, model))


@check("parallelism.experts-divide", title="Experts divide evenly over their ranks")
def experts_divide(recipes: Recipes, models: HubModels | None = None) -> Iterator[Result]:
    """Expert parallelism divides existing ranks. In SGLang and TensorRT-LLM its size must divide the tensor
    parallel size (times the MoE tensor parallel size, it must equal that), and so must SGLang's attention
    data parallel size. vLLM rejects --enable-expert-parallel for a model without experts.

    If experts are split by columns and stored as FP8 blocks, each rank's share must be whole blocks:
    Qwen3-235B-A22B-FP8 does not load on 8 ranks without expert parallelism.

    Fix: set the expert parallel size to the tensor parallel size, or a divisor of it
    """
    for engine in _list_engines(recipes, models):
        found = _check_ranks(engine)
        if found is None and engine.model is not None and engine.budget is not None:
            found = _check_experts(engine, engine.model, engine.budget.sharding.experts)
        elif found is None:
            yield describe_unsized(engine)
            continue
        yield judged(1, "engines")
        if found is not None:
            problem, argument = found
            known = argument if engine.instance.given.get(argument) else "tensor-parallel-size"
            yield _report_undivided(engine, problem, argument=known)


def _list_engines(recipes: Recipes, models: HubModels | None) -> list[SizedEngine]:
    """Every engine that runs on GPUs.

    :raises Skip: there is none.
    """
    engines = list(size_engines(add_hub_configs(recipes, models)))
    if not engines:
        raise Skip("no engine")
    return engines


def _check_ranks(engine: SizedEngine) -> _Problem | None:
    """The problem with sizes that must divide each other whatever the model is."""
    given, name = engine.instance.given, engine.instance.engine.name
    tensor, experts = given.size("tensor-parallel-size"), given.size("expert-parallel-size")
    data = given.size("data-parallel-size") if given.is_enabled("enable-dp-attention") else None
    rejected = has_rejected_parallel_args(engine.instance.container, engine.instance.launch)
    if name == "vllm" or tensor is None or not given.complete or rejected:
        return None
    if name == "sglang" and data is not None and tensor % data:
        problem = f"attention data parallel size {data} does not divide tensor parallel size {tensor}"
        return problem, "data-parallel-size"
    if experts is None or given.get("moe-cluster-parallel-size", "moe-dp-size"):
        return None
    if tensor % experts:
        problem = f"expert parallel size {experts} does not divide tensor parallel size {tensor}"
        return problem, "expert-parallel-size"
    columns = given.get("moe-tensor-parallel-size") if name.startswith("trtllm") else None
    explicit = columns is not None and given.get("expert-parallel-size") is not None
    if columns is not None and explicit and columns.integer != tensor // experts:
        problem = f"expert parallel size {experts} times MoE tensor parallel size is not {tensor}"
        return problem, "expert-parallel-size"
    return None


def _check_experts(engine: SizedEngine, model: Model, ranks: int) -> _Problem | None:
    """The problem with how a model's experts are split over an engine's ranks."""
    given, name = engine.instance.given, engine.instance.engine.name
    if name == "vllm":
        problem = _check_vllm_experts(engine, model, ranks)
        return (problem, "enable-expert-parallel") if problem else None
    tensor, experts = given.size("tensor-parallel-size"), given.size("expert-parallel-size")
    if name.startswith("trtllm") or tensor is None or experts is None or given.get("moe-dp-size"):
        return None
    if given.has_prefix("moe-a2a-backend") or given.has_prefix("enable-deepep"):
        return None  # those set the expert parallel size themselves
    problem = _check_blocks(engine, model, tensor // experts)
    return (problem, "expert-parallel-size") if problem else None


def _check_vllm_experts(engine: SizedEngine, model: Model, ranks: int) -> str | None:
    enabled = engine.instance.given.is_enabled("enable-expert-parallel")
    release = dynamo_release(engine.instance.container.image or "")
    version = engine_versions(release)["vllm"] if release else ""
    if enabled and not model.experts:
        return f"--enable-expert-parallel is set, but {engine.name} has no experts"
    if enabled is not False or version not in _VLLM_OF_WHOLE_BLOCKS:
        return None
    return _check_blocks(engine, model, ranks)


def _check_blocks(engine: SizedEngine, model: Model, columns: int) -> str | None:
    if not model.experts or not model.block:
        return None
    share = model.expert_intermediate / columns
    if columns == 1 or share % model.block == 0:
        return None
    return (
        f"experts split over {columns} ranks have {share:g} columns each, "
        f"but {engine.name} is stored in blocks of {model.block}"
    )


def _is_uneven(heads: int, ranks: int) -> bool:
    return bool(ranks % heads) if ranks > heads else bool(heads % ranks)


def _suggest_ranks(engine: SizedEngine, model: Model) -> str:
    """The most ranks on the component's GPUs that divide the heads, if nothing but tensors is split."""
    component, given = engine.instance.component, engine.instance.given
    argument = given.get("tensor-parallel-size")
    most = (component.gpus or 0) * component.nodes
    fits = [
        n
        for n in range(1, most + 1)
        if not any(number % n for number in (model.heads, *model.state_heads))
        and not _is_uneven(model.kv_heads, n)
    ]
    others = [given.size(name) for name in ("pipeline-parallel-size", "data-parallel-size")]
    if argument is None or not argument.spelled or not fits or others != [1, 1]:
        return ""
    return set_argument(argument.spelled, fits[-1])


def _report_undivided(
    engine: SizedEngine, problem: str, *, argument: str = "tensor-parallel-size", fix: str = ""
) -> Finding:
    return fail(
        f"{engine.instance.name}: {problem}",
        fix=fix or "choose parallel sizes that divide them",
        evidence={"model": engine.name, "source": engine.model.source if engine.model else ""},
        location=Location(*engine.instance.locate(argument)),
    )


def _list_resources(manifest: Manifest) -> Iterator[tuple[Manifest, Value, Value | None]]:
    """The resources of a graph's containers, in either API version, and limits that the operator adds.

    In v1alpha1 it merges those of a component with those of its main container. Of other custom resources
    those are listed whose pods are written in full; the pods of Kubernetes' own kinds are judged by
    manifest.schema.
    """
    if manifest.kind != "DynamoGraphDeployment":
        yield from ((manifest, found, None) for found in _list_resources_of_pods(manifest))
        return
    for component in manifest.root.get_items("spec", "components"):
        for container in component.get_items("podTemplate", "spec", "containers"):
            if (found := container.get("resources")) is not None:
                yield manifest, found, None
    services = manifest.root.get("spec", "services")
    for service in services.mapping.values() if services else ():
        paths = (("resources",), ("extraPodSpec", "mainContainer", "resources"))
        for path, other in (paths, paths[::-1]):
            if (found := service.get(*path)) is not None:
                yield manifest, found, service.get(*other, "limits")


def _list_resources_of_pods(manifest: Manifest) -> Iterator[Value]:
    templates = () if manifest.kind in POD_TEMPLATE_PATHS else read_pod_templates(manifest)
    for container in (c for template in templates if not template.partial for c in template.containers):
        if (found := container.get("resources")) is not None:
            yield found


def _select_devices(amounts: Value | None) -> dict[str, Value]:
    """The resources that cannot be overcommitted: those with a domain, and `gpu` of v1alpha1."""
    if amounts is None:
        return {}
    custom = amounts.get("custom")
    every = {**amounts.mapping, **(custom.mapping if custom else {})}
    devices = {k: v for k, v in every.items() if "/" in k and not k.startswith(_NATIVE)}
    if "gpu" in every:
        devices[amounts.get_text("gpuType") or "nvidia.com/gpu"] = every["gpu"]
    return devices


def _differ(request: Value, limit: Value) -> bool:
    wanted, most = parse_quantity(request.data), parse_quantity(limit.data)
    return wanted != most and None not in (wanted, most)  # manifest.schema reports invalid quantities
