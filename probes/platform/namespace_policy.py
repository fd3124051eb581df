"""The namespace of the run, and the policies in it."""

from functools import partial

import msgspec

from dynocheck import probe
from dynocheck.facts import Access
from dynocheck.facts.k8s.namespace_policy import (
    Namespace,
    NetworkPolicies,
    NetworkPolicy,
    Peer,
    PodClasses,
    Port,
    Rule,
    Selector,
)
from dynocheck.kube import Cluster, NotFound, together
from dynocheck.probes._k8s_types import METADATA, Meta, Named


@probe(access=[Access("get", "namespaces", local=True)])
def namespace(cluster: Cluster) -> Namespace:
    name = cluster.connection.namespace
    try:
        found = cluster.get(f"/api/v1/namespaces/{name}", Named)
    except NotFound:
        return Namespace(name, exists=False)
    meta = found.metadata
    return Namespace(name, labels=meta.labels or {}, deleting=bool(meta.deletion_timestamp))


@probe(
    access=[
        Access("list", "priorityclasses", "scheduling.k8s.io"),
        Access("list", "runtimeclasses", "node.k8s.io"),
    ]
)
def pod_classes(cluster: Cluster) -> PodClasses:
    paths = ("/apis/scheduling.k8s.io/v1/priorityclasses", "/apis/node.k8s.io/v1/runtimeclasses")
    lists = together([partial(cluster.items, path, Named, accept=METADATA) for path in paths])
    priorities, runtimes = (tuple(sorted(each.metadata.name for each in found)) for found in lists)
    return PodClasses(priorities, runtimes)


class _Rule(msgspec.Struct, rename={"sources": "from", "targets": "to"}):
    sources: list[Peer] | None = None
    targets: list[Peer] | None = None
    ports: list[Port] | None = None


class _PolicySpec(msgspec.Struct, rename="camel"):
    pod_selector: Selector = Selector()
    policy_types: list[str] | None = None
    ingress: list[_Rule] | None = None
    egress: list[_Rule] | None = None


class _Policy(msgspec.Struct):
    metadata: Meta
    spec: _PolicySpec = msgspec.field(default_factory=_PolicySpec)


@probe(access=[Access("list", "networkpolicies", "networking.k8s.io", local=True)])
def network_policies(cluster: Cluster) -> NetworkPolicies:
    """Stored policies always name their directions: the API server fills them in."""
    path = f"/apis/networking.k8s.io/v1/namespaces/{cluster.connection.namespace}/networkpolicies"
    return NetworkPolicies(tuple(_policy(found) for found in cluster.items(path, _Policy)))


def _policy(found: _Policy) -> NetworkPolicy:
    spec, types = found.spec, found.spec.policy_types or ["Ingress"]
    return NetworkPolicy(
        name=found.metadata.name,
        selector=spec.pod_selector,
        ingress=_rules(spec.ingress) if "Ingress" in types else None,
        egress=_rules(spec.egress) if "Egress" in types else None,
    )


def _rules(found: list[_Rule] | None) -> tuple[Rule, ...]:
    return tuple(
        Rule(tuple(each.sources or each.targets or ()), tuple(each.ports or ())) for each in found or ()
    )
