"""Whether a recipe's images are made for the CPUs beside the GPUs."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.data.gpus import gpu_type
from dynocheck.data.images import find_image, parse_image
from dynocheck.facts import Nodes, Recipes, ResourceSlices
from dynocheck.facts.k8s.gpu import GpuNode, list_gpu_nodes
from dynocheck.facts.k8s.scheduling_constraints import Placement, list_placements
from dynocheck.facts.recipe.recipes import Component, Container, Graph

_ARCH = "kubernetes.io/arch"


@check("gpu.image-arch", title="The recipe's images are made for the CPUs of the nodes")
def image_arch(nodes: Nodes, slices: ResourceSlices, recipes: Recipes) -> Iterator[Finding]:
    """GB200, GB300 and GH200 have Arm CPUs: an image for amd64 alone does not start there (exec format
    error), and neither does one for arm64 elsewhere.

    Dynamo's release notes tell the architectures of its images; of any other image nothing is guessed, nor
    from the tag -efa-amd64, which named images that were multi-architecture all the same.

    Fix: docker manifest inspect IMAGE, and take a multi-architecture one or pin kubernetes.io/arch
    """
    judged = list_gpu_nodes(nodes, slices)
    if not judged:
        raise Skip("no node says that it has GPUs")
    if all(_find_arch(node) == "amd64" for node in judged) and not _selects_arch(recipes):
        raise Skip("every GPU node is amd64, which every image of Dynamo is made for")
    seen: set[tuple[str, tuple[str, ...]]] = set()
    findings: list[Finding] = []
    for graph, component, placement in list_placements(recipes):
        if component.gpus == 0:
            continue
        hosts = {host for node in judged if placement.selects(node.node) and (host := _find_arch(node))}
        findings += _check_selector(graph, component, placement, judged)
        for container in component.containers if hosts else ():
            key = (container.image or "", tuple(sorted(hosts)))
            if container.image and key not in seen:
                seen.add(key)
                findings += _check_image(graph, container, hosts)
    if not findings and not seen:
        raise Skip("no worker of the recipe may run on a GPU node of this cluster that tells its CPU")
    yield from findings


def _find_arch(node: GpuNode) -> str:
    kind = gpu_type(node.product)
    return node.node.architecture or node.node.labels.get(_ARCH, "") or (kind.host if kind else None) or ""


def _selects_arch(recipes: Recipes) -> bool:
    return any(_ARCH in placed.selector for _, _, placed in list_placements(recipes))


def _check_selector(
    graph: Graph, component: Component, placement: Placement, judged: list[GpuNode]
) -> Iterator[Finding]:
    wanted = placement.selector.get(_ARCH)
    hosts = {_find_arch(node) for node in judged}
    if wanted and wanted not in hosts and "" not in hosts:
        yield fail(
            f"{component.name} selects {_ARCH}={wanted}, and the GPU nodes are {', '.join(sorted(hosts))}",
            fix=f"kubectl get nodes -L {_ARCH},nvidia.com/gpu.product",
            location=Location(graph.file, component.line, component.column),
        )


def _check_image(graph: Graph, container: Container, hosts: set[str]) -> Iterator[Finding]:
    row = find_image(parse_image(container.image or ""))
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
