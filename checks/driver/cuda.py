"""Whether nodes' drivers run the CUDA that is in Dynamo's images."""

from collections.abc import Iterator
from typing import NamedTuple

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.data.gpus import gpu_type
from dynocheck.data.images import (
    DynamoImage,
    cuda_toolkit,
    engine_images,
    find_image,
    find_newest_release,
    parse_image,
)
from dynocheck.facts import Nodes, Recipes, ResourceSlices
from dynocheck.facts.k8s.gpu import GpuNode, list_gpu_nodes
from dynocheck.facts.k8s.scheduling_constraints import Placement, list_placements
from dynocheck.facts.recipe.recipes import Container

_LABEL = "nvidia.com/cuda.driver-version.full"
_MINOR = "CUDA's minor version compatibility may let it run, with limits"
_FORWARD = "only CUDA's forward compatibility package in the image may let it run, on data-center GPUs"


class _GpuContainer(NamedTuple):
    """A container that runs on GPUs."""

    file: str
    container: Container
    placement: Placement

    @property
    def place(self) -> Location:
        return Location(self.file, self.container.line, self.container.column)


@check("driver.cuda-matrix", title="Every GPU node's driver runs the CUDA of Dynamo's images")
def cuda_matrix(nodes: Nodes, slices: ResourceSlices, recipes: Recipes | None) -> Iterator[Finding]:
    """Each release of Dynamo states the driver branch that the CUDA in its images asks for: 575 for CUDA
    12.9, 580 for CUDA 13. With an older one the container is refused or the engine does not start.

    With a recipe its images are judged against the nodes that its workers may run on; without one, a node
    that cannot run the newest release is a warning. So is an older branch where NVIDIA documents a way: minor
    version compatibility within a CUDA major, or the forward compatibility package of the image on
    data-center GPUs. A node whose labels tell no driver cannot be judged, and neither can an image that the
    table of images does not have.

    Fix: upgrade the driver (spec.driver.version of the ClusterPolicy), or take an image that it runs
    """
    judged = list_gpu_nodes(nodes, slices)
    if not judged:
        raise Skip("no node says that it has GPUs")
    told = [node for node in judged if node.driver_branch is not None]
    if not told:
        raise Skip(f"no GPU node tells its driver: GPU Feature Discovery would, by the label {_LABEL}")
    uses = list(_find_gpu_containers(recipes))
    if uses and not any(use.placement.selects(node.node) for use in uses for node in told):
        raise Skip("the recipe's workers may run on none of the GPU nodes that tell their driver")
    for node in judged:
        if node.driver_branch is None:
            yield warn(
                "its labels do not tell its driver, so it is not judged",
                fix=f"run GPU Feature Discovery, which sets {_LABEL}",
                subject=Subject("Node", node.name),
            )
    yield from _check_images(told, uses) if uses else _check_releases(told)


def _find_gpu_containers(recipes: Recipes | None) -> Iterator[_GpuContainer]:
    for graph, component, placement in list_placements(recipes or ()):
        if component.gpus != 0:
            for container in component.containers:
                if container is component.main or parse_image(container.image or "").dynamo_name:
                    yield _GpuContainer(graph.file, container, placement)


def _check_images(nodes: list[GpuNode], uses: list[_GpuContainer]) -> Iterator[Finding]:
    """Each image once on each node that it may come to."""
    seen: set[tuple[str | None, str]] = set()
    for use in uses:
        name = use.container.image
        row = find_image(parse_image(name)) if name else None
        if row is None and (name, "") not in seen:
            seen.add((name, ""))
            yield warn(
                f"{name or 'no image'}: its CUDA is not known here, so no driver is judged by it",
                fix=f"docker run --rm --entrypoint printenv {name} CUDA_VERSION" if name else "name an image",
                location=use.place,
            )
        for node in nodes:
            if row is None or (name, node.name) in seen or not use.placement.selects(node.node):
                continue
            seen.add((name, node.name))
            yield from _check_node(node, row, use.place)


def _check_node(node: GpuNode, row: DynamoImage, place: Location) -> Iterator[Finding]:
    way = _find_compatibility(node, row)
    if way is not None:
        able = find_newest_release(row.image, node.driver_branch)
        said = f"its driver {node.driver} is older than {row.driver}, which {row.image}:{row.tag} asks for"
        yield (warn if way else fail)(
            f"{said} (CUDA {row.cuda}){': ' + way if way else ''}",
            fix=f"upgrade the driver to branch {row.driver}"
            + (f", or take an image of {able}" if able else ""),
            evidence={"driver": node.driver, "wanted": row.driver, "cuda": row.cuda, "source": row.source},
            subject=Subject("Node", node.name),
            location=place,
        )


def _find_compatibility(node: GpuNode, row: DynamoImage) -> str | None:
    """None when the driver is new enough; else how the image may run on it all the same, or nothing."""
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
    newest = find_newest_release()
    wanted = min(row.driver for row in engine_images() if row.release == newest)
    for node in nodes:
        ways = {way for row in engine_images() if (way := _find_compatibility(node, row)) is not None}
        able = find_newest_release(branch=node.driver_branch)
        if able == newest:
            continue
        said = f"its driver {node.driver} runs Dynamo up to {able}; {newest} asks for {wanted}"
        if able is None:
            said = f"its driver {node.driver} is older than any release of Dynamo asks for"
            said += f": {max(ways)}" if any(ways) else ""
        yield (warn if able or any(ways) else fail)(
            said,
            fix=f"upgrade the driver to branch {wanted}"
            + (f", or stay with images of {able}" if able else ""),
            evidence={"driver": node.driver, "wanted": wanted},
            subject=Subject("Node", node.name),
        )
