"""What each probe sees of a real API server."""

import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dynocheck.facts import (
    Access,
    AccessReview,
    Condition,
    CustomResourceDefinition,
    Pod,
    RequiredAccess,
    ResourceSlices,
    Taint,
    Unavailable,
)
from dynocheck.kube import InvalidResponse
from dynocheck.probes.access.api_server import permissions
from dynocheck.probes.gpu.nodes import resource_slices
from dynocheck.probes.platform.definitions import definitions
from tests import clusters
from tests.clusters.objects import make_object
from tests.controlplane import build
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane
from tests.kinds import NODE_INFO
from tests.kube.servers import Request, items, reply, serve
from tests.probes.looking import look, reach, rules

DEFAULT = "storageclass.kubernetes.io/is-default-class"
BETA = "storageclass.beta.kubernetes.io/is-default-class"


# The API server


def test_the_api_server_tells_its_version_to_anybody(cluster: ControlPlane) -> None:
    seen = look("api_server", cluster, cluster.user("nobody"))
    assert (seen.url, seen.version) == (cluster.url, build.versions()["kubernetes"])
    assert seen.platform.startswith("linux/")


def test_permissions_are_what_the_user_may_do(cluster: ControlPlane) -> None:
    may = Access("list", "nodes"), Access("get", "customresourcedefinitions", "apiextensions.k8s.io")
    asked = (*may, Access("list", "pods"), Access("get", "nodes"))
    user = cluster.user("partial", rules=rules(may))
    seen = permissions(reach(cluster, user), RequiredAccess(asked))
    expected = [(access, access in may) for access in asked]
    assert [(review.access, review.allowed) for review in seen] == expected  # type: ignore[attr-defined]


def test_rights_in_one_namespace_are_not_rights_in_all(cluster: ControlPlane) -> None:
    pods = Access("list", "pods")
    user = cluster.user("local", rules=rules([pods]), namespace=cluster.namespace())
    seen = permissions(reach(cluster, user), RequiredAccess((pods,)))
    assert seen.items == (AccessReview(pods, False),)  # type: ignore[attr-defined]


# Storage


@pytest.mark.parametrize(
    ("annotations", "default"),
    [
        ({}, False),
        ({DEFAULT: "true"}, True),
        ({BETA: "true"}, True),
        ({DEFAULT: "false", BETA: "true"}, True),
        ({DEFAULT: "false"}, False),
        ({DEFAULT: "True"}, False),
        ({DEFAULT: ""}, False),
    ],
)
def test_a_class_is_default_as_kubernetes_has_it(
    cluster: ControlPlane, annotations: dict[str, str], default: bool
) -> None:
    cluster.apply(clusters.storage_class("fast", annotations=annotations))
    (seen,) = look("storage_classes", cluster)
    assert seen.is_default is default


def test_a_class_in_full_and_by_default(cluster: ControlPlane) -> None:
    more: dict[str, Any] = {
        "parameters": {"type": "gp3"},
        "reclaimPolicy": "Retain",
        "allowVolumeExpansion": True,
    }
    full = clusters.storage_class("full", binding="WaitForFirstConsumer", **more)
    cluster.apply(full, clusters.storage_class("bare", default=False))
    bare, seen = look("storage_classes", cluster)
    assert (seen.name, seen.provisioner, seen.parameters) == ("full", "nfs.csi.k8s.io", {"type": "gp3"})
    assert (seen.binding_mode, seen.reclaim_policy) == ("WaitForFirstConsumer", "Retain")
    assert (bare.binding_mode, bare.reclaim_policy, bare.parameters) == ("Immediate", "Delete", {})
    assert (seen.allows_expansion, bare.allows_expansion) == (True, False)
    assert max(bare.created, seen.created) <= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


# Nodes


def test_a_gpu_node(cluster: ControlPlane) -> None:
    cluster.node(
        "gpu-1",
        gpus=8,
        labels=clusters.GPU_LABELS,
        allocatable={"nvidia.com/gpu": "7"},
        taints=[{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}],
        nodeInfo={**NODE_INFO, "kernelVersion": "x", "architecture": "arm64"},
    )
    (node,) = look("nodes", cluster)
    assert (node.name, node.architecture, node.unschedulable) == ("gpu-1", "arm64", False)
    assert (node.gpu_resources, node.gpu_capacity) == ({"nvidia.com/gpu": 7}, {"nvidia.com/gpu": 8})
    assert node.has_gpu_label
    assert node.taints == (Taint("nvidia.com/gpu", "NoSchedule", "present"),)
    assert node.conditions == (Condition("Ready", "True", "KubeletReady"),)


def test_mig_slices_and_shared_gpus(cluster: ControlPlane) -> None:
    cluster.node("mig", capacity={"nvidia.com/mig-1g.18gb": "14", "nvidia.com/gpu": "0"})
    cluster.node("shared", capacity={"nvidia.com/gpu.shared": "32", "rdma/hca_shared_devices_a": "63"})
    mig, shared = look("nodes", cluster)
    assert mig.gpu_resources == {"nvidia.com/mig-1g.18gb": 14, "nvidia.com/gpu": 0}
    assert (mig.gpus, shared.gpus) == (14, 32)
    assert shared.allocatable["rdma/hca_shared_devices_a"] == "63"


def test_a_cordoned_node_that_is_not_ready(cluster: ControlPlane) -> None:
    cluster.node("gpu-1", ready=False)
    cluster.kubectl("cordon", "gpu-1")
    (node,) = look("nodes", cluster)
    assert (node.unschedulable, node.conditions[0].status) == (True, "False")


def test_a_node_whose_kubelet_has_reported_nothing(cluster: ControlPlane) -> None:
    cluster.apply(make_object("Node", "new"))
    (node,) = look("nodes", cluster)
    assert (node.allocatable, node.conditions, node.gpus, node.labels) == ({}, (), 0, {})


# Dynamic Resource Allocation

DRIVER = "gpu.nvidia.com"


def list_devices(count: int) -> list[Object]:
    return [{"name": f"gpu-{number}"} for number in range(count)]


def make_slice(name: str, devices: list[Object], pool: str = "", generation: int = 1, **where: Any) -> Object:
    told = {"name": pool or name, "generation": generation, "resourceSliceCount": 1}
    spec = {"driver": DRIVER, "pool": told, "devices": devices, **where}
    return make_object("resource.k8s.io/v1 ResourceSlice", name, spec=spec)


def test_resource_slices(cluster: ControlPlane) -> None:
    product, driver = {"string": "NVIDIA H200"}, {"version": "580.95.5"}
    attributes = {"productName": product, "driverVersion": driver, "index": {"int": 0}}
    cluster.apply(
        make_slice("a", [*list_devices(7), {"name": "gpu-7", "attributes": attributes}], nodeName="gpu-1"),
        make_slice("b", list_devices(1), allNodes=True),
        make_slice("c", [], nodeName="gpu-2"),
    )
    told = {"productName": "NVIDIA H200", "driverVersion": "580.95.5"}
    slices = look("resource_slices", cluster).items
    assert [(s.name, s.driver, s.node, s.devices, s.attributes, len(s.offered)) for s in slices] == [
        ("a", DRIVER, "gpu-1", 8, told, 8),
        ("b", DRIVER, None, 1, {}, 1),
        ("c", DRIVER, "gpu-2", 0, {}, 0),
    ]
    assert slices[0].offered[7].attributes["productName"] == product


def test_of_a_pool_the_newest_generation_counts(cluster: ControlPlane) -> None:
    """A driver that makes its slices anew deletes the old ones last."""
    cluster.apply(
        make_slice("old", list_devices(8), "n", nodeName="n"),
        make_slice("new", list_devices(7), "n", 2, nodeName="n"),
        make_slice("other", list_devices(4), nodeName="n"),
    )
    assert {each.name: each.devices for each in look("resource_slices", cluster)} == {"new": 7, "other": 4}


@pytest.mark.parametrize("version", ["v1beta2", "v1beta1"])
def test_resource_slices_of_older_servers(tmp_path: Path, version: str) -> None:
    capability = {"gpu.nvidia.com/cudaComputeCapability": {"version": "9.0.0"}}
    told: Object = {"attributes": {**capability, "dra.net/rdma": {"bool": True}}}
    device = {"basic": told} if version == "v1beta1" else told
    found = make_object("ResourceSlice", "a", spec={"driver": DRIVER, "nodeName": "n", "devices": [device]})

    def handle(request: Request, _: socket.socket) -> bytes:
        if request.path == f"/apis/resource.k8s.io/{version}/resourceslices":
            return reply(200, items(found))
        return reply(404, {"kind": "Status", "message": "the server could not find the requested resource"})

    with serve(handle) as server:
        seen = resource_slices(server.cluster(tmp_path))
    assert isinstance(seen, ResourceSlices)
    (offer,) = seen
    assert (offer.node, offer.devices, offer.rdma, len(offer.offered)) == ("n", 1, 1, 1)
    assert offer.attributes == {"cudaComputeCapability": "9.0.0"}


def test_a_server_without_resource_slices(tmp_path: Path) -> None:
    with serve(lambda *_: reply(404, "404 page not found", "text/plain")) as server:
        assert resource_slices(server.cluster(tmp_path)) == ResourceSlices(served=False)


# The GPU Operator


def test_operator_pods_by_either_label_in_any_namespace(cluster: ControlPlane) -> None:
    helm, olm = cluster.namespace(), cluster.namespace()
    cluster.pod("helm", helm, labels={"app.kubernetes.io/name": "gpu-operator"})
    cluster.pod("olm", olm, labels={"app": "gpu-operator"}, ready=False)
    cluster.pod("both", olm, labels=clusters.OPERATOR)
    cluster.pod("other", olm, labels={"app": "nvidia-driver-daemonset"})
    seen = list(look("gpu_operator_pods", cluster))
    assert sorted(seen, key=lambda pod: pod.name) == [
        Pod(olm, "both", "Running", ready=True),
        Pod(helm, "helm", "Running", ready=True),
        Pod(olm, "olm", "Running"),
    ]


def test_an_operator_that_crashes(cluster: ControlPlane) -> None:
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}
    container = {"name": "main", "image": "x", "imageID": "", "ready": False, "restartCount": 9}
    status = {"containerStatuses": [{**container, "state": {"waiting": waiting}}]}
    cluster.pod("gpu-operator-1", labels=clusters.OPERATOR, ready=False, status=status)
    cluster.pod("gpu-operator-2", labels=clusters.OPERATOR, phase="Pending")
    crashing, pending = look("gpu_operator_pods", cluster)
    assert crashing == Pod("default", "gpu-operator-1", "Running", waiting=("CrashLoopBackOff",))
    assert pending == Pod("default", "gpu-operator-2", "Pending")


# Definitions

CRD = "apiextensions.k8s.io/v1 CustomResourceDefinition"


def definition(
    plural: str, kind: str = "", *, served: list[bool] | None = None, **annotations: str
) -> Object:
    """A definition with a version for each of `served`."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    versions = [
        {"name": f"v{number}", "served": each, "storage": number == 1, "schema": schema}
        for number, each in enumerate(served or [True], 1)
    ]
    names = {"plural": plural, "kind": kind or plural.capitalize()}
    spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": versions}
    return make_object(CRD, f"{plural}.example.com", annotations=annotations, spec=spec)


def eventually(seen: Callable[[], Any], holds: Callable[[Any], bool] = bool) -> Any:
    """What is seen once it holds, or at the last: discovery follows the definitions within a second."""
    deadline = time.monotonic() + 10
    while not holds(found := seen()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def named(cluster: ControlPlane, plural: str) -> CustomResourceDefinition:
    found: CustomResourceDefinition | None = look("definitions", cluster).find(f"{plural}.example.com")
    assert found is not None
    return found


def define(cluster: ControlPlane, *made: Object) -> None:
    """Apply definitions and wait until they are established."""
    cluster.apply(*made)
    for each in made:
        plural = each["spec"]["names"]["plural"]
        eventually(partial(named, cluster, plural), lambda found: found.established)


def test_a_definition_is_served_in_its_versions(cluster: ControlPlane) -> None:
    annotations = {
        "gateway.networking.k8s.io/bundle-version": "v1.5.1",
        "gateway.networking.k8s.io/channel": "standard",
        "kubectl.kubernetes.io/last-applied-configuration": "{" + "x" * 10_000,
    }
    cluster.apply(definition("widgets", served=[True, False, True], **annotations))
    seen = eventually(lambda: named(cluster, "widgets"), lambda found: len(found.served) == 2)
    assert sorted(seen.served) == ["v1", "v3"]
    assert (seen.group, seen.established, seen.reason) == ("example.com", True, "")
    assert seen.annotations == {key: annotations[key] for key in list(annotations)[:2]}


def test_a_definition_that_no_version_of_is_served(cluster: ControlPlane) -> None:
    cluster.apply(definition("widgets", served=[False]))
    seen = eventually(lambda: named(cluster, "widgets"), lambda found: "none" in found.reason)
    assert (seen.served, seen.established) == ((), False)
    assert seen.reason == "none of its versions is served"
    crds = Access("list", "customresourcedefinitions", "apiextensions.k8s.io")
    (seen,) = look("definitions", cluster, cluster.user("lister", rules=rules([crds])))
    assert not seen.established
    assert seen.reason.startswith("it is not served, and the reason could not be read: ")
    assert 'User "lister" cannot get resource "customresourcedefinitions"' in seen.reason


def test_a_definition_whose_names_are_taken(cluster: ControlPlane) -> None:
    define(cluster, definition("widgets", "Widget"))
    cluster.apply(definition("gadgets", "Widget"))
    seen = eventually(lambda: named(cluster, "gadgets"), lambda found: "Widget" in found.reason)
    assert (seen.served, seen.established) == ((), False)
    assert seen.reason.startswith('NamesAccepted is False: "Widget')
    assert "already in use" in seen.reason
    assert "Established is False: not all names are accepted" in seen.reason
    assert named(cluster, "widgets").established


def test_a_definition_that_is_being_deleted(cluster: ControlPlane) -> None:
    define(cluster, definition("widgets", "Widget"))
    held = make_object("example.com/v1 Widget", "held", "default")
    held["metadata"]["finalizers"] = ["example.com/never"]
    cluster.apply(held)
    cluster.delete(definition("widgets"))
    seen = named(cluster, "widgets")
    assert (seen.established, seen.reason) == (False, "it is being deleted")


def test_a_new_definition_is_not_called_unserved(cluster: ControlPlane) -> None:
    """Discovery may lag behind a definition that says of itself that it is served."""
    for plural in (f"widgets{number}" for number in range(5)):
        cluster.apply(definition(plural))
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.example.com"

        def established(path: str = path) -> bool:
            conditions = cluster.get(path).get("status", {}).get("conditions") or []
            return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)

        eventually(established)
        assert named(cluster, plural).established


def test_no_definition_at_all(cluster: ControlPlane) -> None:
    assert len(look("definitions", cluster)) == 0


@pytest.mark.parametrize(
    ("discovery", "kind", "says"),
    [
        ({"kind": "APIGroupList", "groups": []}, Unavailable, "no aggregated discovery"),
        ({"kind": "Status", "items": []}, InvalidResponse, "not the discovery"),
        ({}, InvalidResponse, "missing required field `kind`"),
        ({"kind": "APIGroupDiscoveryList", "items": {}}, InvalidResponse, "got `object`"),
    ],
)
def test_without_discovery_nothing_is_called_unserved(
    tmp_path: Path, discovery: object, kind: type[Unavailable], says: str
) -> None:
    def handle(request: Request, _: socket.socket) -> bytes:
        found = items({"metadata": {"name": "widgets.example.com"}})
        return reply(200, discovery if request.path == "/apis" else found)

    with serve(handle) as server, pytest.raises(kind, match=says):
        definitions(server.cluster(tmp_path))
