"""Healthy clusters of the kinds that people have, each as it looks there.

A module builds one or more `Kind`s. Labels, taints, resources and storage classes are those that the page
named beside them documents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.clusters import storage_class
from tests.clusters.rdma import workload
from tests.controlplane.server import ControlPlane

NODE_INFO = (
    "machineID",
    "systemUUID",
    "bootID",
    "containerRuntimeVersion",
    "kubeletVersion",
    "kubeProxyVersion",
)


@dataclass(frozen=True)
class ClusterKind:
    """A kind of cluster: how to build it, and the outcomes in which it differs from the others."""

    name: str
    build: Callable[[ControlPlane], None]
    differing: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def gpu_nodes(
    cluster: ControlPlane,
    *names: str,
    labels: Mapping[str, str],
    capacity: Mapping[str, str],
    kernel: str,
    taint: str = "",
) -> None:
    """Nodes that are alike. A taint is written as kubectl does, `key=value:effect`."""
    key, _, rest = taint.partition("=")
    value, _, effect = rest.partition(":")
    for name in names:
        cluster.node(
            name,
            labels=labels,
            capacity=capacity,
            taints=[{"key": key, "value": value, "effect": effect}] if taint else [],
            nodeInfo={
                **dict.fromkeys(NODE_INFO, "x"),
                "architecture": "amd64",
                "operatingSystem": "linux",
                "osImage": "x",
                "kernelVersion": kernel,
            },
        )
    cluster.node("cpu-1")


def classes(cluster: ControlPlane, default: str, /, **provisioners: str) -> None:
    """StorageClasses by name, `_` for `-`, one of them the default."""
    for key, provisioner in provisioners.items():
        name = key.replace("_", "-")
        cluster.apply(storage_class(name, provisioner, default=name == default))


def daemon(
    cluster: ControlPlane,
    name: str,
    namespace: str,
    image: str,
    *,
    labels: Mapping[str, str] | None = None,
    selector: Mapping[str, str] | None = None,
) -> None:
    """A DaemonSet that is ready on two nodes."""
    ensure(cluster, namespace)
    made = workload("DaemonSet", name, namespace, image, desired=2, labels=labels, selector=selector)
    cluster.apply(made)


def ensure(cluster: ControlPlane, namespace: str, **labels: str) -> None:
    """A namespace."""
    metadata: dict[str, Any] = {"name": namespace, "labels": labels}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
