"""Reads the DynamoGraphDeployment of a run, and how far its last change has come."""

from dataclasses import dataclass
from urllib.parse import quote

import msgspec

from dynocheck import Unavailable, probe
from dynocheck.core.errors import UsageError
from dynocheck.facts import Access, Readiness, Rollout
from dynocheck.kube import Cluster
from dynocheck.probes._k8s_types import ObjectMeta, StatusCondition
from dynocheck.probes._listing import list_first
from dynocheck.probes.endpoint.workload import find_workload_rollout

_GROUP = "nvidia.com"
_VERSIONS = ("v1beta1", "v1alpha1")
READING = Access("list", "dynamographdeployments", _GROUP, local=True)


@dataclass(frozen=True)
class DeploymentRef:
    """The user's choice of a graph (default: the only one in the namespace) or KIND/NAME, and of --via."""

    name: str | None = None
    via: str | None = None

    @property
    def workload(self) -> str:
        """KIND/NAME of a workload without Dynamo; empty for a graph."""
        return self.name if self.name and "/" in self.name else ""


class _Component(msgspec.Struct, rename="camel"):
    name: str = ""
    type: str = ""
    component_type: str = ""
    sub_component_type: str | None = None
    replicas: int | None = None

    @property
    def role(self) -> str:
        """The type; in v1alpha1 a prefill worker is a worker with the sub-type prefill."""
        return self.sub_component_type or self.type or self.component_type


class _Spec(msgspec.Struct):
    components: list[_Component] | None = None
    services: dict[str, _Component] | None = None

    @property
    def by_name(self) -> dict[str, _Component]:
        """The components, which are a map in v1alpha1 and a list in v1beta1."""
        return {component.name: component for component in self.components or ()} | (self.services or {})


class _Status(msgspec.Struct, rename="camel"):
    state: str = ""
    observed_generation: int = 0
    conditions: list[StatusCondition] | None = None


class WireGraph(msgspec.Struct):
    metadata: ObjectMeta
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


@probe(access=[READING])
def rollout(deployment: DeploymentRef, cluster: Cluster, readiness: Readiness) -> Rollout:
    """Runs after `readiness`, so that the operator has had as much time as the endpoint."""
    try:
        if deployment.workload:
            return find_workload_rollout(cluster, deployment.workload)
        graph = get_graph(cluster, deployment.name)
    except UsageError as error:
        raise Unavailable(f"it changed during the run: {error}") from None
    ready = next((c for c in graph.status.conditions or () if c.type == "Ready"), StatusCondition())
    return Rollout(
        name=graph.metadata.name,
        namespace=graph.metadata.namespace,
        state=graph.status.state,
        seen=not 0 < graph.status.observed_generation < graph.metadata.generation,
        reason=": ".join(filter(None, (ready.reason, ready.message))),
    )


def get_graph(cluster: Cluster, name: str | None) -> WireGraph:
    """The graph with this name in the run's namespace, or without a name its only graph.

    :raises UsageError: there is none, or there are several.
    """
    namespace = cluster.connection.namespace
    resource = f"namespaces/{quote(namespace)}/dynamographdeployments"
    graphs = list_first(cluster, (f"/apis/{_GROUP}/{v}/{resource}" for v in _VERSIONS), WireGraph)
    if graphs is None:
        raise UsageError("the cluster has no DynamoGraphDeployments: Dynamo's CRDs are not installed")
    matching = [graph for graph in graphs if name in (None, graph.metadata.name)]
    if len(matching) == 1:
        return matching[0]
    existing = ", ".join(graph.metadata.name for graph in graphs) or "none"
    problem = f"no DynamoGraphDeployment {name}" if name else "give the name of a DynamoGraphDeployment"
    raise UsageError(f"namespace {namespace}: {problem}; existing: {existing}")
