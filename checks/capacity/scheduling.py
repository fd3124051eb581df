"""Whether a recipe's pods find nodes, and whether the namespace lets them be made."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import msgspec

from dynocheck import Finding, Location, Skip, check, warn
from dynocheck.core.outcomes import Outcome
from dynocheck.facts import Nodes, Recipes, ResourceSlices
from dynocheck.facts.k8s.autoscaling import Autoscalers
from dynocheck.facts.k8s.capacity import NamespaceLimits, RunningPod, RunningPods
from dynocheck.facts.recipe.recipes import Graph, Recipe
from dynocheck.scheduling.diagnosis import Diagnosis, diagnose
from dynocheck.scheduling.first_fit import Batch, Scheduler
from dynocheck.scheduling.graphs import (
    GPU,
    GRAPH_LABEL,
    ComponentPods,
    list_component_pods,
    resolve_namespace,
)
from dynocheck.scheduling.limits import collect_defaults
from dynocheck.scheduling.node_state import ClusterState
from dynocheck.scheduling.pod_spec_model import add_tolerations

# Clouds whose API servers add tolerations of taints that are named like resources, by their nodes' labels:
# https://learn.microsoft.com/azure/aks/faq, https://docs.aws.amazon.com/eks/latest/userguide/platform-versions.html,
# https://cloud.google.com/kubernetes-engine/docs/how-to/gpus
_TOLERATING = ("cloud.google.com/gke-", "eks.amazonaws.com/", "kubernetes.azure.com/")
_PLUGIN = "ExtendedResourceToleration"
_DRA_DRIVER = "gpu.nvidia.com"
_LIST_PODS = "kubectl get pods -A -o wide --field-selector spec.nodeName={node}"


@dataclass(frozen=True)
class _FitInputs:
    """What the pods are put on."""

    nodes: Nodes
    running: RunningPods
    limits: NamespaceLimits
    grows: str
    gpus_by_claim: bool

    @cached_property
    def board(self) -> ClusterState:
        return ClusterState(self.nodes, self.running)

    @cached_property
    def adds_tolerations(self) -> bool:
        """Whether pods are known to be given tolerations of taints that are named like their resources."""
        return any(label.startswith(_TOLERATING) for node in self.nodes for label in node.labels)

    def exclude(self, gone: Callable[[RunningPod], bool]) -> ClusterState:
        """The same without these pods."""
        staying = [pod for pod in self.running if not gone(pod)]
        return self.board if len(staying) == len(self.running) else ClusterState(self.nodes, staying)


@check("capacity.fits", title="Every pod of the recipe finds a node now")
def fits(
    recipes: Recipes,
    nodes: Nodes,
    running: RunningPods,
    limits: NamespaceLimits,
    autoscalers: Autoscalers,
    slices: ResourceSlices,
) -> Iterator[Finding]:
    """A pod that finds no node stays Pending, and a graph that lacks one worker may never serve.

    The pods of each graph are placed as kube-scheduler would: after what runs already holds its share, by
    requests of every resource, selectors, affinity, taints, spread, host ports and cordons, in several
    orders, since which node a pod takes decides what is left for the next. What fits only in some orders
    is a warning. Several graphs of a recipe are alternatives: each is judged by itself.

    A graph that is deployed already is judged as if its pods were not there. With an autoscaler installed,
    a lack of room is a warning. Volumes, resource claims (DRA), queues of other schedulers
    and preemption by priority class are not looked at. See `docs/capacity.md`.

    Fix: free or add nodes, ask for less, or choose a variant for the hardware that is there.
    """
    by_claim = any(s.driver == _DRA_DRIVER and s.devices for s in slices)
    cluster = _FitInputs(nodes, running, limits, str(autoscalers), by_claim)
    yield from check_each_graph(recipes, lambda recipe, graph: _check_graph(cluster, recipe, graph))


def check_each_graph(
    recipes: Recipes, judge: Callable[[Recipe, Graph], Iterator[Finding]]
) -> Iterator[Finding]:
    """What is said of each graph by itself: those of a recipe are alternatives.

    :raises Skip: there is no graph.
    """
    if not any(recipe.graphs for recipe in recipes):
        raise Skip("no DynamoGraphDeployment")
    for recipe in recipes:
        for graph in recipe.graphs:
            yield from judge(recipe, graph)


def _check_graph(cluster: _FitInputs, recipe: Recipe, graph: Graph) -> Iterator[Finding]:
    """What of one graph finds no node."""
    place = resolve_namespace(recipe, graph, cluster.limits.namespace)
    defaults = collect_defaults(cluster.limits) if place == cluster.limits.namespace else None
    all_groups = list(list_component_pods(recipe, graph, cluster.limits.namespace, defaults))
    judged = [group for group in all_groups if group.shape is not None]
    if cluster.adds_tolerations:
        judged = _tolerate_all(judged)
    board = cluster.exclude(lambda pod: is_own(pod, graph, place))
    table = _make_scheduler(board, judged)
    throws = list(table.simulate())
    failed = [throw for throw in throws if not throw.is_complete]
    if not failed:
        yield from warn_unjudged(graph, all_groups)
        return
    sometimes = len(failed) < len(throws) or table.pack().is_complete
    evicting = any(pod.priority < 0 for pod in cluster.running) and _can_fit(
        _make_scheduler(cluster.exclude(lambda pod: pod.priority < 0 or is_own(pod, graph, place)), judged)
    )
    tolerated = _have_resource_taints(cluster.nodes, judged) and _can_fit(
        _make_scheduler(board, _tolerate_all(judged))
    )
    for kind, group in enumerate(judged):
        lack = failed[0].lacking[kind]
        if lack:
            why = diagnose(table, kind, failed[0])
            yield _report_misfit(
                cluster, graph, group, lack, why, sometimes=sometimes, evicting=evicting, tolerated=tolerated
            )


def _have_resource_taints(nodes: Nodes, judged: list[ComponentPods]) -> bool:
    """Whether nodes have taints that are named like resources which the pods ask for."""
    resources = {name for group in judged if group.shape for name in group.shape.requests}
    return any(taint.key in resources for node in nodes for taint in node.taints)


def _can_fit(table: Scheduler) -> bool:
    return any(throw.is_complete for throw in table.simulate())


def _tolerate_all(found: list[ComponentPods]) -> list[ComponentPods]:
    """The groups as an API server makes them that adds tolerations."""
    return [
        msgspec.structs.replace(group, shape=add_tolerations(group.shape))
        for group in found
        if group.shape is not None
    ]


def is_own(pod: RunningPod, graph: Graph, namespace: str) -> bool:
    """Whether a pod is one of this graph, which is deployed already."""
    return pod.namespace == namespace and pod.labels.get(GRAPH_LABEL) == graph.name


def _make_scheduler(board: ClusterState, judged: list[ComponentPods]) -> Scheduler:
    return Scheduler(board, [Batch(group.shape, group.pods) for group in judged if group.shape is not None])


def warn_unjudged(graph: Graph, found: list[ComponentPods]) -> Iterator[Finding]:
    """What keeps a graph whose pods find nodes from being said to fit."""
    for group in found:
        if group.unjudged and group.pods:
            yield warn(
                f"{group.name}: not judged whole: {group.unjudged}",
                evidence={"graph": graph.name},
                location=Location(graph.file, group.line, group.column),
            )


def _report_misfit(
    cluster: _FitInputs,
    graph: Graph,
    group: ComponentPods,
    lack: int,
    why: Diagnosis,
    *,
    sometimes: bool,
    evicting: bool,
    tolerated: bool,
) -> Finding:
    short = -(-lack // group.nodes)
    having = "has" if short == 1 else "have"
    spans = f" ({group.nodes} pods each)" if group.nodes > 1 else ""
    text = f"{group.name}: {short} of {_format_replicas(group.replicas)}{spans} {having} no node: {why.text}"
    outcome = Outcome.FAIL
    if sometimes:
        text = (
            f"{group.name}: whether it fits depends on the order of placing, else {text.partition(': ')[2]}"
        )
        outcome = Outcome.WARN
    elif tolerated:
        text = f"{text}, unless the API server adds the toleration (admission plugin {_PLUGIN})"
        outcome = Outcome.WARN
    elif evicting:
        text, outcome = f"{text}, unless pods of negative priority are evicted for it", Outcome.WARN
    elif group.priority_class:
        text, outcome = (
            f"{text}; pods of a lower class than {group.priority_class} may give way",
            Outcome.WARN,
        )
    elif cluster.gpus_by_claim and GPU in why.needs:
        text, outcome = f"{text}; GPUs that are offered through DRA are not counted", Outcome.WARN
    elif cluster.grows:
        text, outcome = f"{text}; {cluster.grows} may add a node", Outcome.WARN
    evidence: dict[str, object] = {"graph": graph.name, "needs": why.needs, "free": why.free}
    if why.holders:
        evidence["held by"] = why.holders
    return Finding(
        outcome=outcome,
        message=text,
        fix=_suggest_fix(why),
        evidence={name: value for name, value in evidence.items() if value},
        location=Location(graph.file, group.line, group.column),
    )


def _format_replicas(replicas: int) -> str:
    return "1 replica" if replicas == 1 else f"{replicas} replicas"


def _suggest_fix(why: Diagnosis) -> str:
    if why.ever and why.node:
        return _LIST_PODS.format(node=why.node)
    return "choose a variant for the hardware that is there, or add nodes that hold it"
