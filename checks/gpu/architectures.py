"""gpu.image-arch: container images against the CPU architecture of GPU nodes."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, check, fail, warn
from dynocheck.data.gpus import gpu_type
from dynocheck.data.images import find_image, parse_image
from dynocheck.facts import (
    Component,
    Container,
    GpuNode,
    Graph,
    Nodes,
    Placement,
    Recipes,
    ResourceSlices,
    list_gpu_nodes,
    list_placements,
)

_ARCH = "kubernetes.io/arch"


@check("gpu.image-arch", title="Images support the CPU architecture of the GPU nodes")
def image_arch(nodes: Nodes, slices: ResourceSlices, recipes: Recipes) -> Iterator[Finding]:
    """GB200, GB300 and GH200 have Arm CPUs: an amd64-only image fails there with an exec format error, as an
    arm64-only image does on other nodes.

    The architectures of Dynamo's images come from its release notes. Nothing is guessed for other images, or
    from the tag suffix -efa-amd64, which was also given to multi-architecture images.

    Fix: docker manifest inspect IMAGE, then use a multi-architecture image or pin kubernetes.io/arch
    """
    judged = list_gpu_nodes(nodes, slices)
    if not judged:
        raise Skip("no GPU node found")
    if all(_find_arch(node) == "amd64" for node in judged) and not _selects_arch(recipes):
        raise Skip("every GPU node is amd64, which every Dynamo image supports")
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
        raise Skip("no worker can run on a GPU node whose CPU architecture is known")
    yield from findings


def _find_arch(node: GpuNode) -> str:
    """The CPU architecture by the kubelet, the node label or the GPU product, in this order; else empty."""
    gpu = gpu_type(node.product)
    return node.node.architecture or node.node.labels.get(_ARCH, "") or (gpu.host if gpu else None) or ""


def _selects_arch(recipes: Recipes) -> bool:
    return any(_ARCH in placement.selector for _, _, placement in list_placements(recipes))


def _check_selector(
    graph: Graph, component: Component, placement: Placement, judged: list[GpuNode]
) -> Iterator[Finding]:
    wanted = placement.selector.get(_ARCH)
    hosts = {_find_arch(node) for node in judged}
    if wanted and wanted not in hosts and "" not in hosts:
        yield fail(
            f"{component.name} selects {_ARCH}={wanted}, but the GPU nodes are {', '.join(sorted(hosts))}",
            fix=f"kubectl get nodes -L {_ARCH},nvidia.com/gpu.product",
            evidence={"selector": f"{_ARCH}={wanted}"},
            location=Location(graph.file, component.line, component.column),
        )


def _check_image(graph: Graph, container: Container, hosts: set[str]) -> Iterator[Finding]:
    row = find_image(parse_image(container.image or ""))
    location = Location(graph.file, container.line, container.column)
    fix = f"docker manifest inspect {container.image} | grep architecture"
    if row is not None and row.architectures:
        missing = hosts - set(row.architectures)
        if missing:
            yield (fail if missing == hosts else warn)(
                f"{container.image} supports {', '.join(row.architectures)} but can be scheduled on "
                f"{', '.join(sorted(missing))} nodes",
                fix=fix,
                evidence={"source": row.source},
                location=location,
            )
    elif arm := ", ".join(sorted(hosts - {"amd64"})):
        reason = row.note if row is not None and row.note else "not in dynocheck's image table"
        yield warn(
            f"{container.image} may not support {arm}: {reason}",
            fix=fix,
            location=location,
        )
