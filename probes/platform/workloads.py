"""Reads Deployments, DaemonSets and StatefulSets."""

import re
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import msgspec

from dynocheck import probe
from dynocheck.facts import Access, Workload, Workloads
from dynocheck.kube import Cluster, run_parallel
from dynocheck.probes._k8s_types import ObjectMeta, StatusCondition, make_conditions

_KINDS = {"Deployment": "deployments", "DaemonSet": "daemonsets", "StatefulSet": "statefulsets"}


# Flags by which Dynamo operators before release 1.0 get their addresses.
_ADDRESS = re.compile(r"--(?:nats|etcd)Addr=(?:([a-z]+://)?(?:[^/@]*@)?(.+))")


class _Container(msgspec.Struct):
    image: str = ""
    args: list[str] | None = None


class _NodeSelector(msgspec.Struct, rename="camel"):
    node_selector_terms: list[dict[str, Any]] | None = None


class _NodeAffinity(msgspec.Struct, rename="camel"):
    required: _NodeSelector | None = msgspec.field(
        default=None, name="requiredDuringSchedulingIgnoredDuringExecution"
    )


class _Affinity(msgspec.Struct, rename="camel"):
    node_affinity: _NodeAffinity | None = None


class _PodSpec(msgspec.Struct, rename="camel"):
    init_containers: list[_Container] | None = None
    containers: list[_Container] | None = None
    node_selector: dict[str, str] | None = None
    affinity: _Affinity | None = None
    tolerations: list[dict[str, Any]] | None = None
    priority_class_name: str = ""

    @property
    def node_terms(self) -> tuple[dict[str, Any], ...]:
        """The node selector terms of its required node affinity."""
        nodes = self.affinity.node_affinity if self.affinity else None
        return tuple((nodes.required.node_selector_terms if nodes and nodes.required else None) or ())


class _Template(msgspec.Struct):
    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    spec: _PodSpec = msgspec.field(default_factory=_PodSpec)


class _Spec(msgspec.Struct):
    replicas: int | None = None
    template: _Template = msgspec.field(default_factory=_Template)


class _Status(msgspec.Struct, rename="camel"):
    observed_generation: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    updated_replicas: int = 0
    desired_number_scheduled: int = 0
    current_number_scheduled: int = 0
    number_ready: int = 0
    updated_number_scheduled: int = 0
    conditions: list[StatusCondition] | None = None


class _Workload(msgspec.Struct):
    metadata: ObjectMeta
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


@probe(access=[Access("list", plural, "apps") for plural in _KINDS.values()])
def workloads(cluster: Cluster) -> Workloads:
    lists = run_parallel(
        [partial(cluster.items, f"/apis/apps/v1/{plural}", _Workload) for plural in _KINDS.values()]
    )
    return Workloads(
        tuple(_convert_workload(k, item) for k, items in zip(_KINDS, lists, strict=True) for item in items)
    )


def _convert_workload(kind: str, workload: _Workload) -> Workload:
    meta, spec, status = workload.metadata, workload.spec, workload.status
    daemon = kind == "DaemonSet"
    return Workload(
        kind=kind,
        namespace=meta.namespace,
        name=meta.name,
        labels=meta.labels or {},
        pod_labels=spec.template.metadata.labels or {},
        images=tuple(_list_images(spec.template.spec)),
        node_selector=spec.template.spec.node_selector or {},
        addresses=tuple(_list_addresses(spec.template.spec)),
        node_terms=spec.template.spec.node_terms if daemon else (),
        tolerations=tuple(spec.template.spec.tolerations or ()) if daemon else (),
        priority_class=spec.template.spec.priority_class_name,
        desired=status.desired_number_scheduled if daemon else 1 if spec.replicas is None else spec.replicas,
        ready=status.number_ready if daemon else status.ready_replicas,
        updated=status.updated_number_scheduled if daemon else status.updated_replicas,
        pods=status.current_number_scheduled if daemon else status.replicas,
        observed=status.observed_generation >= meta.generation,
        conditions=make_conditions(status.conditions),
    )


def _list_images(pod: _PodSpec) -> Iterator[str]:
    for container in (*(pod.init_containers or ()), *(pod.containers or ())):
        yield container.image


def _list_addresses(pod: _PodSpec) -> Iterator[str]:
    for container in pod.containers or ():
        args = container.args or ()
        # The value may be an argument of its own.
        joined = [f"{flag}={value}" for flag, value in pairwise(args) if "=" not in flag]
        for match in filter(None, map(_ADDRESS.fullmatch, (*args, *joined))):
            yield (match[1] or "") + match[2]
