"""A DynamoGraphDeployment that is to be asked, and how far the operator is with it."""

from dataclasses import dataclass
from urllib.parse import quote

import msgspec

from dynocheck import Unavailable, probe
from dynocheck.core.errors import UsageError
from dynocheck.facts import Access, Readiness, Rollout
from dynocheck.kube import Cluster, NotFound
from dynocheck.probes._k8s_types import ObjectMeta, StatusCondition

_GROUP = "nvidia.com"
_VERSIONS = ("v1beta1", "v1alpha1")
READING = Access("list", "dynamographdeployments", _GROUP, local=True)


@dataclass(frozen=True)
class DeploymentRef:
    """What the user named. No name means the only one of the namespace, `via` none the way that is open."""

    name: str | None = None
    via: str | None = None


class _Component(msgspec.Struct, rename="camel"):
    name: str = ""
    type: str = ""
    component_type: str = ""
    sub_component_type: str | None = None
    replicas: int | None = None

    @property
    def role(self) -> str:
        """v1alpha1 spells a prefill worker as a worker of the sub-type prefill."""
        return self.sub_component_type or self.type or self.component_type


class _Spec(msgspec.Struct):
    components: list[_Component] | None = None
    services: dict[str, _Component] | None = None

    @property
    def by_name(self) -> dict[str, _Component]:
        """The components; v1alpha1 has a map of them, v1beta1 a list."""
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
    """After it was waited for, for which the operator has had the time as well."""
    try:
        graph = get_graph(cluster, deployment.name)
    except UsageError as error:  # it was there when its address was found
        raise Unavailable(f"while it was asked that changed: {error}") from None
    ready = next((each for each in graph.status.conditions or () if each.type == "Ready"), StatusCondition())
    return Rollout(
        name=graph.metadata.name,
        namespace=graph.metadata.namespace,
        state=graph.status.state,
        seen=not 0 < graph.status.observed_generation < graph.metadata.generation,
        reason=": ".join(filter(None, (ready.reason, ready.message))),
    )


def get_graph(cluster: Cluster, name: str | None) -> WireGraph:
    """The graph of the namespace that is named, or its only one.

    :raises UsageError: there is none, or there are several.
    """
    namespace = cluster.connection.namespace
    for version in _VERSIONS:
        path = f"/apis/{_GROUP}/{version}/namespaces/{quote(namespace)}/dynamographdeployments"
        try:
            graphs = cluster.items(path, WireGraph)
            break
        except NotFound:
            continue
    else:
        raise UsageError(
            "the cluster has no DynamoGraphDeployments: Dynamo's resource types are not installed"
        )
    chosen = [graph for graph in graphs if name in (None, graph.metadata.name)]
    if len(chosen) == 1:
        return chosen[0]
    there = ", ".join(graph.metadata.name for graph in graphs) or "none"
    what = f"no DynamoGraphDeployment {name}" if name else "which DynamoGraphDeployment?"
    raise UsageError(f"namespace {namespace}: {what}; there is {there}")
