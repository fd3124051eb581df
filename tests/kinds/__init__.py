"""Healthy clusters of the kinds that people have, each as it looks there.

A module builds one or more `Kind`s. Labels, taints, resources and storage classes are those that the page
named beside them documents.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.clusters import storage_class
from tests.clusters.objects import make_namespace, make_workload, read_pairs
from tests.controlplane.server import ControlPlane

NODE_INFO = {"architecture": "amd64", "operatingSystem": "linux", "osImage": "x"} | dict.fromkeys(
    ("machineID", "systemUUID", "bootID", "containerRuntimeVersion", "kubeletVersion", "kubeProxyVersion"),
    "x",
)


@dataclass(frozen=True)
class ClusterKind:
    """A kind of cluster: how to build it, and the outcomes in which it differs from the others."""

    name: str
    build: Callable[[ControlPlane], None]
    differs: str

    def __str__(self) -> str:
        return self.name


def gpu_nodes(
    cluster: ControlPlane, names: str, labels: str, capacity: str, kernel: str, taint: str = ""
) -> None:
    """Nodes that are alike. A taint is written as kubectl does, `key=value:effect`."""
    key, _, rest = taint.partition("=")
    value, _, effect = rest.partition(":")
    for name in names.split():
        cluster.node(
            name,
            labels=read_pairs(labels),
            capacity=read_pairs(capacity),
            taints=[{"key": key, "value": value, "effect": effect}] if taint else [],
            nodeInfo={**NODE_INFO, "kernelVersion": kernel},
        )
    cluster.node("cpu-1")


def classes(cluster: ControlPlane, default: str, provisioners: str) -> None:
    """StorageClasses as `name=provisioner`, one of them the default."""
    for name, provisioner in read_pairs(provisioners).items():
        cluster.apply(storage_class(name, provisioner, default=name == default))


def daemon(
    cluster: ControlPlane,
    name: str,
    namespace: str,
    image: str,
    labels: Mapping[str, str] | None = None,
    selector: Mapping[str, str] | None = None,
) -> None:
    """A DaemonSet that is ready on two nodes."""
    made = make_workload("DaemonSet", name, namespace, image, labels, selector=selector, desired=2)
    cluster.apply(make_namespace(namespace), made)
