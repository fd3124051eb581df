"""gpu.sharing: nodes whose GPUs are shared by time-slicing or MPS."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.facts import GpuNode, Nodes, Recipes, ResourceSlices, list_gpu_nodes, list_placements

_GPU = "nvidia.com/gpu"


@check("gpu.sharing", title="GPUs are not time-sliced or shared with MPS")
def sharing(nodes: Nodes, slices: ResourceSlices, recipes: Recipes | None) -> Iterator[Finding]:
    """With time-slicing or MPS the device plugin advertises each GPU several times as nvidia.com/gpu. Engines
    expect the memory of a whole GPU, and two of the GPUs given to one worker may be the same device.

    Fails when a worker requests several GPUs and every node that it can run on shares them. Shares under
    their own name (nvidia.com/gpu.shared) are not judged: no pod requests them by accident.

    Fix: kubectl get nodes -L nvidia.com/gpu.sharing-strategy,nvidia.com/gpu.replicas
    """
    judged = [node for node in list_gpu_nodes(nodes, slices) if node.node.gpu_resources.get(_GPU)]
    shared = [node for node in judged if node.clients > 1]
    if not shared:
        raise Skip("no GPU node shares its GPUs")
    for node in shared:
        yield warn(
            f"advertises each GPU {node.clients} times ({node.strategy}); its memory is shared too",
            fix="run Dynamo's workers on other nodes with a nodeSelector, or turn sharing off "
            "(kubectl get configmaps -A | grep -i device-plugin)",
            evidence={"offered": node.node.gpu_resources[_GPU], "product": node.label},
            subject=Subject("Node", node.name),
        )
    yield from _check_multi_gpu(judged, recipes)


def _check_multi_gpu(judged: list[GpuNode], recipes: Recipes | None) -> Iterator[Finding]:
    """Fail workers that request several GPUs and can only run on nodes that share them."""
    for graph, component, placement in list_placements(recipes or ()):
        usable = [node for node in judged if placement.selects(node.node)]
        if (component.gpus or 0) > 1 and usable and all(node.clients > 1 for node in usable):
            yield fail(
                f"{component.name} requests {component.gpus} GPUs, but every node that it can run on shares "
                "its GPUs",
                fix="turn GPU sharing off on these nodes, or add nodes without it",
                evidence={node.name: node.strategy for node in usable[:8]},
                location=Location(graph.file, component.line, component.column),
            )
