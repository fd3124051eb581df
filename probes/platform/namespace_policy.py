"""Reads the namespace of the run and its network policies."""

from typing import Any

import msgspec

from dynocheck import probe
from dynocheck.facts import (
    Access,
    Namespace,
    NetworkPolicies,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    NetworkPolicyRule,
    PodClasses,
    RuntimeRule,
    Selector,
)
from dynocheck.kube import Cluster, NotFound
from dynocheck.probes._k8s_types import METADATA, ObjectMeta, PartialObject

_RANGES = "openshift.io/sa.scc."


@probe(access=[Access("get", "namespaces", local=True)])
def namespace(cluster: Cluster) -> Namespace:
    name = cluster.connection.namespace
    try:
        meta = cluster.get(f"/api/v1/namespaces/{name}", PartialObject).metadata
    except NotFound:
        return Namespace(name, exists=False)
    ranges = {
        key.removeprefix(_RANGES): value
        for key, value in (meta.annotations or {}).items()
        if key.startswith(_RANGES)
    }
    return Namespace(name, labels=meta.labels or {}, deleting=bool(meta.deletion_timestamp), id_ranges=ranges)


class _Overhead(msgspec.Struct, rename="camel"):
    pod_fixed: dict[str, str] | None = None


class _Scheduling(msgspec.Struct, rename="camel"):
    node_selector: dict[str, str] | None = None
    tolerations: list[dict[str, Any]] | None = None


class _RuntimeClass(msgspec.Struct):
    metadata: ObjectMeta
    overhead: _Overhead = msgspec.field(default_factory=_Overhead)
    scheduling: _Scheduling = msgspec.field(default_factory=_Scheduling)

    @property
    def rule(self) -> RuntimeRule:
        tolerations = tuple(self.scheduling.tolerations or ())
        return RuntimeRule(self.overhead.pod_fixed or {}, self.scheduling.node_selector or {}, tolerations)


@probe(
    access=[
        Access("list", "priorityclasses", "scheduling.k8s.io"),
        Access("list", "runtimeclasses", "node.k8s.io"),
    ]
)
def pod_classes(cluster: Cluster) -> PodClasses:
    path = "/apis/scheduling.k8s.io/v1/priorityclasses"
    priorities = cluster.items(path, PartialObject, accept=METADATA)
    runtimes = cluster.items("/apis/node.k8s.io/v1/runtimeclasses", _RuntimeClass)
    return PodClasses(
        tuple(sorted(item.metadata.name for item in priorities)),
        tuple(sorted(item.metadata.name for item in runtimes)),
        {item.metadata.name: item.rule for item in runtimes},
    )


class _Rule(msgspec.Struct, rename={"sources": "from", "targets": "to"}):
    sources: list[NetworkPolicyPeer] | None = None
    targets: list[NetworkPolicyPeer] | None = None
    ports: list[NetworkPolicyPort] | None = None


class _PolicySpec(msgspec.Struct, rename="camel"):
    pod_selector: Selector = Selector()
    policy_types: list[str] | None = None
    ingress: list[_Rule] | None = None
    egress: list[_Rule] | None = None


class _Policy(msgspec.Struct):
    metadata: ObjectMeta
    spec: _PolicySpec = msgspec.field(default_factory=_PolicySpec)


@probe(access=[Access("list", "networkpolicies", "networking.k8s.io", local=True)])
def network_policies(cluster: Cluster) -> NetworkPolicies:
    path = f"/apis/networking.k8s.io/v1/namespaces/{cluster.connection.namespace}/networkpolicies"
    return NetworkPolicies(tuple(_convert_policy(policy) for policy in cluster.items(path, _Policy)))


def _convert_policy(policy: _Policy) -> NetworkPolicy:
    spec, types = policy.spec, policy.spec.policy_types or ["Ingress"]  # the API server sets a missing one
    return NetworkPolicy(
        name=policy.metadata.name,
        selector=spec.pod_selector,
        ingress=_convert_rules(spec.ingress) if "Ingress" in types else None,
        egress=_convert_rules(spec.egress) if "Egress" in types else None,
    )


def _convert_rules(rules: list[_Rule] | None) -> tuple[NetworkPolicyRule, ...]:
    return tuple(
        NetworkPolicyRule(tuple(rule.sources or rule.targets or ()), tuple(rule.ports or ()))
        for rule in rules or ()
    )
