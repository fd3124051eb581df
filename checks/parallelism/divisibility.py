"""Whether models can be split as they are told to be, and onto the nodes that are named."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, check, fail
from dynocheck.data import gpus
from dynocheck.data.flags import dynamo_release, engine_versions
from dynocheck.engines.memory_budget import PRODUCT_LABELS, SizedEngine, size_engines
from dynocheck.facts import Recipes
from dynocheck.facts.k8s.quantity import parse_quantity
from dynocheck.facts.k8s.scheduling_constraints import list_placements
from dynocheck.facts.recipe.recipes import Manifest, Value

_LARGEST_NODE = 16  # GPUs, of any node that is made
# Whose Fp8MoEMethod refuses to load broken blocks; later ones no longer do so there.
_VLLM_OF_WHOLE_BLOCKS = ("0.16.0", "0.19.0", "0.20.1", "0.23.0", "0.26.0", "0.28.0")
_NATIVE = ("kubernetes.io/", "requests.", "hugepages-")


@check("parallelism.requests-equal-limits", title="Devices are requested as they are limited")
def requests_equal_limits(recipes: Recipes) -> Iterator[Finding]:
    """The API server refuses a pod that requests another number of GPUs, or of RDMA devices, than it is
    limited to: such resources cannot be overcommitted. The graph is accepted, and its pods never appear.

    A limit alone is enough; the request follows from it.

    Fix: give limits and requests the same number, or leave the request out
    """
    asked = [
        entry for recipe in recipes for manifest in recipe.manifests for entry in _list_resources(manifest)
    ]
    if not asked:
        raise Skip("no graph asks for resources")
    for manifest, resources in asked:
        requests, limits = (
            _select_devices(resources.get("requests")),
            _select_devices(resources.get("limits")),
        )
        for name, request in requests.items():
            limit = limits.get(name)
            if limit is None and name != "gpu":
                said = "and sets no limit"
            elif limit is not None and _differ(request, limit):
                said = f"and is limited to {limit.data}"
            else:
                continue
            yield fail(
                f"requests {request.data} of {name} {said}",
                fix=f"set limits and requests of {name} to the same number",
                location=Location(manifest.file, request.line, request.column),
            )


@check("parallelism.fits-node", title="No pod asks for more GPUs than its node has")
def fits_node(recipes: Recipes) -> Iterator[Finding]:
    """A pod lies on one node: one that asks for more GPUs than a node has stays Pending for ever. A model
    that needs more is spread by multinode.nodeCount.

    What nodes have is told by the product that the pods must run on: 4 for GB200 and GB300, 8 for H200.
    Without one of those, a pod fails when it asks for more than any node has.

    Fix: set multinode.nodeCount, and nvidia.com/gpu to what one node has
    """
    judged = False
    for graph, component, placement in list_placements(recipes):
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
                f"{component.name}: a pod asks for {component.gpus} GPUs, {node} has {most}",
                fix=f"set nvidia.com/gpu to {most} and multinode.nodeCount to {-(-component.gpus // most)}",
                location=Location(graph.file, component.line, component.column),
            )
    if not judged:
        raise Skip("no component whose GPUs are counted by the manifest")


@check("parallelism.heads-divide", title="Tensor parallelism divides every model's attention heads")
def heads_divide(recipes: Recipes) -> Iterator[Finding]:
    """Each rank computes whole attention heads. An engine does not start when the ranks do not divide them.
    Key and value heads are divided too, or repeated when there are more ranks: vLLM and SGLang want the one
    number to be a multiple of the other.

    Fix: choose a tensor parallel size that divides the model's num_attention_heads
    """
    for each in _list_known(recipes):
        model, budget = each.model, each.budget
        if model is None or budget is None:
            continue
        ranks = budget.sharding.attention
        if model.heads % ranks:
            yield _report_undivided(each, f"{model.heads} attention heads cannot be divided by {ranks} ranks")
        elif not model.latent and each.engine.name != "trtllm" and _is_uneven(model.kv_heads, ranks):
            yield _report_undivided(
                each, f"{model.kv_heads} key-value heads do not go evenly on {ranks} ranks"
            )


@check("parallelism.experts-divide", title="Experts go evenly on the ranks that share them")
def experts_divide(recipes: Recipes) -> Iterator[Finding]:
    """Expert parallelism divides the ranks that are there. SGLang and TensorRT-LLM want its size to divide
    the tensor parallel size (with a MoE tensor parallel size, the product of the two to be it), SGLang's
    attention data parallel size too. vLLM refuses --enable-expert-parallel for a model that has no experts.

    Where experts are split by columns and stored in FP8 by blocks, each rank's share has to be whole blocks:
    Qwen3-235B-A22B-FP8 does not load on 8 ranks without expert parallelism.

    Fix: set the expert parallel size to the tensor parallel size, or a divisor of it
    """
    for each in _list_known(recipes):
        problem = _check_vllm_experts(each) if each.engine.name == "vllm" else _check_other_experts(each)
        if problem is not None:
            argument = "enable-expert-parallel" if each.engine.name == "vllm" else "expert-parallel-size"
            known = argument if each.arguments.get(argument) else "tensor-parallel-size"
            yield _report_undivided(each, problem, argument=known)


def _list_known(recipes: Recipes) -> Iterator[SizedEngine]:
    """Every engine whose model and arguments are known.

    :raises Skip: there is none.
    """
    engines = list(size_engines(recipes))
    known = [each for each in engines if each.model is not None and each.budget is not None]
    if not known:
        raise Skip("no engine of a model in the table whose arguments are known" if engines else "no engine")
    yield from known


def _check_vllm_experts(each: SizedEngine) -> str | None:
    if each.model is None or each.budget is None:
        return None
    enabled = each.arguments.is_enabled("enable-expert-parallel")
    release = dynamo_release(each.image)
    version = engine_versions(release)["vllm"] if release else ""
    if enabled and not each.model.experts:
        return f"--enable-expert-parallel is set, and {each.name} has no experts"
    if enabled is not False or version not in _VLLM_OF_WHOLE_BLOCKS:
        return None
    return _check_blocks(each, each.budget.sharding.experts)


def _check_other_experts(each: SizedEngine) -> str | None:
    """SGLang and TensorRT-LLM, which are told a size; what takes part in it beside that is not judged."""
    given, tensor = each.arguments, each.arguments.size("tensor-parallel-size")
    experts, columns = given.size("expert-parallel-size"), given.get("moe-tensor-parallel-size")
    if tensor is None or experts is None or given.get("moe-cluster-parallel-size", "moe-dp-size"):
        return None
    if tensor % experts:
        return f"expert parallel size {experts} does not divide tensor parallel size {tensor}"
    if each.engine.name == "trtllm":
        wrong = (
            columns is not None and given.get("expert-parallel-size") and columns.integer != tensor // experts
        )
        return (
            f"expert parallel size {experts} times MoE tensor parallel size is not {tensor}"
            if wrong
            else None
        )
    data = given.size("data-parallel-size")
    if given.is_enabled("enable-dp-attention") and data is not None and tensor % data:
        return f"attention data parallel size {data} does not divide tensor parallel size {tensor}"
    if given.has_prefix("moe-a2a-backend") or given.has_prefix("enable-deepep"):
        return None  # those set the expert parallel size themselves
    return _check_blocks(each, tensor // experts)


def _check_blocks(each: SizedEngine, columns: int) -> str | None:
    model = each.model
    if model is None or not model.experts or not model.block:
        return None
    share = model.expert_intermediate / columns
    if columns == 1 or share % model.block == 0:
        return None
    return (
        f"experts split over {columns} ranks have {share:g} columns each, "
        f"and {each.name} is stored in blocks of {model.block}"
    )


def _is_uneven(heads: int, ranks: int) -> bool:
    return bool(ranks % heads) if ranks > heads else bool(heads % ranks)


def _report_undivided(each: SizedEngine, problem: str, *, argument: str = "tensor-parallel-size") -> Finding:
    return fail(
        f"{each.component.name}: {problem}",
        fix="choose parallel sizes that divide them",
        evidence={"model": each.name, "source": each.model.source if each.model else ""},
        location=_locate(each, argument),
    )


def _locate(each: SizedEngine, name: str) -> Location:
    """Of an argument, or of the launch where it is not given."""
    found = each.arguments.get(name)
    if found is None:
        return Location(each.graph.file, each.launch.line, each.launch.column)
    return Location(found.file, found.line, found.column)


def _list_resources(manifest: Manifest) -> Iterator[tuple[Manifest, Value]]:
    """What the containers of a graph ask for, in either API version."""
    if manifest.kind != "DynamoGraphDeployment":
        return
    components, services = manifest.root.get("spec", "components"), manifest.root.get("spec", "services")
    for component in components.sequence if components else ():
        containers = component.get("podTemplate", "spec", "containers")
        for container in containers.sequence if containers else ():
            if (found := container.get("resources")) is not None:
                yield manifest, found
    for service in services.mapping.values() if services else ():
        for path in (("resources",), ("extraPodSpec", "mainContainer", "resources")):
            if (found := service.get(*path)) is not None:
                yield manifest, found


def _select_devices(amounts: Value | None) -> dict[str, Value]:
    """Resources that cannot be overcommitted: those with a domain, and `gpu` of the older API."""
    if amounts is None:
        return {}
    custom = amounts.get("custom")
    every = {**amounts.mapping, **(custom.mapping if custom else {})}
    return {k: v for k, v in every.items() if k == "gpu" or ("/" in k and not k.startswith(_NATIVE))}


def _differ(request: Value, limit: Value) -> bool:
    asked, most = parse_quantity(request.data), parse_quantity(limit.data)
    return asked != most and None not in (asked, most)  # the schema says what is none
