"""Whether workers are given GPUs that nobody else uses."""

from collections.abc import Iterator

from dynocheck import Finding, Location, Skip, Subject, check, fail, warn
from dynocheck.facts import Nodes, Recipes, ResourceSlices
from dynocheck.facts.k8s.gpu import GpuNode, list_gpu_nodes
from dynocheck.facts.k8s.scheduling_constraints import list_placements

_GPU = "nvidia.com/gpu"


@check("gpu.sharing", title="GPUs are handed out once each")
def sharing(nodes: Nodes, slices: ResourceSlices, recipes: Recipes | None) -> Iterator[Finding]:
    """With time-slicing or MPS the device plugin offers each GPU several times under the name of whole ones.
    An engine counts on the memory of a whole GPU, and of several that it asks for two may be the same one.

    It is a failure where a worker of the recipe asks for several GPUs and every node that it may use hands
    them out so. Shares under a name of their own (nvidia.com/gpu.shared) nobody takes by accident.

    Fix: kubectl get nodes -L nvidia.com/gpu.sharing-strategy,nvidia.com/gpu.replicas
    """
    judged = [node for node in list_gpu_nodes(nodes, slices) if node.node.gpu_resources.get(_GPU)]
    shared = [node for node in judged if node.clients > 1]
    if not shared:
        raise Skip("no GPU node says that it hands out its GPUs more than once")
    for node in shared:
        yield warn(
            f"hands out each GPU {node.clients} times ({node.strategy}): its memory is shared too",
            fix="give Dynamo's workers nodes of their own by a nodeSelector, or end the sharing "
            "(kubectl get configmaps -A | grep -i device-plugin)",
            evidence={"offered": node.node.gpu_resources[_GPU], "product": node.label},
            subject=Subject("Node", node.name),
        )
    yield from _check_multi_gpu(judged, recipes)


def _check_multi_gpu(judged: list[GpuNode], recipes: Recipes | None) -> Iterator[Finding]:
    """The workers that need several GPUs and can come to none that is whole."""
    for graph, component, placed in list_placements(recipes or ()):
        usable = [node for node in judged if placed.selects(node.node)]
        if (component.gpus or 0) > 1 and usable and all(node.clients > 1 for node in usable):
            yield fail(
                f"{component.name} asks for {component.gpus} GPUs, and every node that it may use hands out "
                "the same one several times",
                fix="end the sharing on these nodes, or add some whose GPUs are whole",
                evidence={node.name: node.strategy for node in usable[:8]},
                location=Location(graph.file, component.line, component.column),
            )
