"""Check of GPU nodes' drivers against the CUDA in Dynamo's images."""

from collections.abc import Iterator
from typing import NamedTuple

from dynocheck import Finding, Location, Result, Skip, Subject, check, fail, judged, unjudged, warn
from dynocheck.data.flags import find_release, find_similar_images
from dynocheck.data.gpus import gpu_type
from dynocheck.data.images import (
    DynamoImage,
    cuda_toolkit,
    engine_images,
    find_newest_release,
    parse_image,
)
from dynocheck.facts import (
    Container,
    GpuNode,
    Nodes,
    Placement,
    Recipes,
    ResourceSlices,
    list_gpu_nodes,
    list_placements,
)

_LABEL = "nvidia.com/cuda.driver-version.full"
_EKS, _GKE = "eks.amazonaws.com/compute-type", "cloud.google.com/gke-accelerator"
_MINOR = "it may run by CUDA minor version compatibility, with limits"
_FORWARD = "on data-center GPUs it may run by the CUDA forward compatibility package of the image"


class _GpuContainer(NamedTuple):
    """A container that uses GPUs, with the file and the scheduling constraints of its component."""

    file: str
    container: Container
    placement: Placement

    @property
    def location(self) -> Location:
        return Location(self.file, self.container.line, self.container.column)


@check("driver.cuda-matrix", title="GPU drivers support the CUDA of Dynamo's images")
def cuda_matrix(nodes: Nodes, slices: ResourceSlices, recipes: Recipes | None) -> Iterator[Result]:
    """Each release of Dynamo documents the driver branch that the CUDA in its images needs: 575 for CUDA
    12.9, 580 for CUDA 13. With an older driver the container or the engine does not start.

    With a recipe, its images are checked on the nodes that its workers may run on; without one, a node that
    cannot run the newest release gets a warning. So does an older branch that NVIDIA documents as compatible:
    within a CUDA major by minor version compatibility, or on data-center GPUs by the forward compatibility
    package of the image. Not judged are nodes without a driver label, but without a recipe those whose
    provider installs the driver (GKE, EKS Auto Mode) are left out. An image that is not in the table is
    compared by the images of the releases that it may hold, and not judged where these differ.

    Fix: upgrade the driver (spec.driver.version of the ClusterPolicy), or take an image that it runs
    """
    gpu_nodes = list_gpu_nodes(nodes, slices)
    if not gpu_nodes:
        raise Skip("no node has GPUs")
    known = [node for node in gpu_nodes if node.driver_branch is not None]
    uses = list(_find_gpu_containers(recipes))
    if known and uses and not any(use.placement.selects(node.node) for use in uses for node in known):
        raise Skip("the recipe's workers may run on no GPU node whose driver is known")
    unlabelled = [node for node in gpu_nodes if node.driver_branch is None]
    if not uses:
        unlabelled = [node for node in unlabelled if not _has_provided_driver(node)]
        if not known and not unlabelled:
            raise Skip("the provider installs the driver of every GPU node, and there is no recipe")
    for node in unlabelled:
        yield unjudged(
            f"Node {node.name}",
            why="it has no driver label",
            needs=f"GPU Feature Discovery, which sets {_LABEL}, or --with what node --cluster recorded",
            subject=Subject("Node", node.name),
        )
    yield from _check_images(known, uses) if uses else _check_releases(known)
    yield from () if uses else (judged(len(known), "nodes"),)


def _has_provided_driver(node: GpuNode) -> bool:
    """Whether the provider installs a node's driver, of which no label tells the version.

    https://cloud.google.com/kubernetes-engine/docs/how-to/gpus and, for EKS Auto Mode,
    https://docs.aws.amazon.com/eks/latest/userguide/auto-accelerated.html
    """
    labels = node.node.labels
    return _GKE in labels or labels.get(_EKS) == "auto"


def _find_gpu_containers(recipes: Recipes | None) -> Iterator[_GpuContainer]:
    for graph, component, placement in list_placements(recipes or ()):
        if component.gpus != 0:
            for container in component.containers:
                if container is component.main or parse_image(container.image or "").dynamo_name:
                    yield _GpuContainer(graph.file, container, placement)


def _check_images(nodes: list[GpuNode], uses: list[_GpuContainer]) -> Iterator[Result]:
    """Each image once on each node that it may run on."""
    seen: set[tuple[str | None, str]] = set()
    for use in uses:
        name = use.container.image
        for node in nodes:
            if (name, node.name) not in seen and use.placement.selects(node.node):
                seen.add((name, node.name))
                yield from _check_image(node, name, use.location)


def _check_image(node: GpuNode, image: str | None, location: Location) -> Iterator[Result]:
    """An image on a node: by its row, else where all that it may be like agree."""
    found = [list(_check_node(node, row, location)) for row in find_similar_images(image or "")]
    agree = len({tuple(finding.outcome for finding in findings) for findings in found}) == 1
    # A tag that names no release may hold a newer one, which needs a newer driver.
    if agree and (found[-1] or len(found) == 1 or find_release(image or "").near):
        yield from found[-1]
        yield judged(1, "images on nodes")
    else:
        yield unjudged(
            image or "a container without an image",
            why="its CUDA version is unknown",
            needs=f"docker run --rm --entrypoint printenv {image} CUDA_VERSION" if image else "an image",
            location=location,
        )


def _check_node(node: GpuNode, row: DynamoImage, location: Location) -> Iterator[Finding]:
    compatibility = _find_compatibility(node, row)
    if compatibility is not None:
        runnable = find_newest_release(row.image, node.driver_branch)
        yield (warn if compatibility else fail)(
            f"driver {node.driver} is older than {row.driver}, which {row.image}:{row.tag} needs "
            f"(CUDA {row.cuda}){': ' + compatibility if compatibility else ''}",
            fix=f"upgrade the driver to branch {row.driver}"
            + (f", or take an image of {runnable}" if runnable else ""),
            evidence={"driver": node.driver, "wanted": row.driver, "cuda": row.cuda, "source": row.source},
            subject=Subject("Node", node.name),
            location=location,
        )


def _find_compatibility(node: GpuNode, row: DynamoImage) -> str | None:
    """None when the driver is new enough; else how the image may run all the same, empty when it cannot."""
    branch, toolkit = node.driver_branch or 0, cuda_toolkit(row.cuda)
    if branch >= row.driver:
        return None
    if toolkit is not None and branch >= toolkit.minor:
        return _MINOR
    kind = gpu_type(node.product)
    if toolkit is not None and branch in toolkit.forward and (kind is None or kind.data_center):
        return _FORWARD
    return ""


def _check_releases(nodes: list[GpuNode]) -> Iterator[Finding]:
    """Whether each node runs the newest release of Dynamo."""
    newest = find_newest_release()
    wanted = min(row.driver for row in engine_images() if row.release == newest)
    for node in nodes:
        runnable = find_newest_release(branch=node.driver_branch)
        if runnable == newest:
            continue
        compatibility = max(_find_compatibility(node, row) or "" for row in engine_images())
        if runnable is not None:
            message = f"driver {node.driver} runs Dynamo up to {runnable}; {newest} needs {wanted}"
        else:
            message = f"driver {node.driver} is older than every release of Dynamo needs"
            message += f": {compatibility}" if compatibility else ""
        yield (warn if runnable or compatibility else fail)(
            message,
            fix=f"upgrade the driver to branch {wanted}"
            + (f", or stay with images of {runnable}" if runnable else ""),
            evidence={"driver": node.driver, "wanted": wanted},
            subject=Subject("Node", node.name),
        )
