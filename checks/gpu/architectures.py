"""gpu.image-arch: container images against the CPU architecture of GPU nodes."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Result, Skip, check, fail, judged, unjudged, warn
from dynocheck.data.flags import find_release, find_similar_images
from dynocheck.data.gpus import gpu_type
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
def image_arch(nodes: Nodes, slices: ResourceSlices, recipes: Recipes) -> Iterator[Result]:
    """GB200, GB300 and GH200 have Arm CPUs: an amd64-only image fails there with an exec format error, as an
    arm64-only image does on other nodes.

    The architectures of Dynamo's images come from its release notes. An image that is not among them is
    judged where all images of the releases that it may hold agree. Nothing is guessed from the tag suffix
    -efa-amd64, which was also given to multi-architecture images.

    Fix: docker manifest inspect IMAGE, then use a multi-architecture image or pin kubernetes.io/arch
    """
    gpu_nodes = list_gpu_nodes(nodes, slices)
    if not gpu_nodes:
        raise Skip("no GPU node found")
    if all(_find_arch(node) == "amd64" for node in gpu_nodes) and not _selects_arch(recipes):
        raise Skip("every GPU node is amd64, which every Dynamo image supports")
    seen: set[tuple[str, tuple[str, ...]]] = set()
    results: list[Result] = []
    for graph, component, placement in list_placements(recipes):
        if component.gpus == 0:
            continue
        hosts = {host for node in gpu_nodes if placement.selects(node.node) and (host := _find_arch(node))}
        results += _check_selector(graph, component, placement, gpu_nodes)
        for container in component.containers if hosts else ():
            key = (container.image or "", tuple(sorted(hosts)))
            if container.image and key not in seen:
                seen.add(key)
                results += _check_image(graph, container, hosts)
    if not results and not seen:
        raise Skip("no worker can run on a GPU node whose CPU architecture is known")
    yield from results


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


def _check_image(graph: Graph, container: Container, hosts: set[str]) -> Iterator[Result]:
    rows = find_similar_images(container.image or "")
    location = Location(graph.file, container.line, container.column)
    fix = f"docker manifest inspect {container.image} | grep architecture"
    supported = set.intersection(*(set(row.architectures) for row in rows)) if rows else set()
    named = len(rows) == 1 or find_release(container.image or "").near
    if hosts == {"amd64"} or (named and supported and hosts <= supported):
        yield judged(1, "images")
        return
    if not named or not supported or len({row.architectures for row in rows}) > 1:
        notes = ", ".join(dict.fromkeys(row.note for row in rows if row.note))
        yield unjudged(
            container.image or "", why=notes or "its architectures are unknown", needs=fix, location=location
        )
        return
    missing = hosts - supported
    yield judged(1, "images")
    yield (fail if missing == hosts else warn)(
        f"{container.image} supports {', '.join(rows[-1].architectures)} but can be scheduled on "
        f"{', '.join(sorted(missing))} nodes",
        fix=fix,
        evidence={"source": rows[-1].source},
        location=location,
    )
