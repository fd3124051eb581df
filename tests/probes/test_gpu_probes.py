"""What the probes of GPUs see of a real API server."""

from __future__ import annotations

from pathlib import Path

from dynocheck.facts import Condition, DeviceClasses, OperatorResources
from dynocheck.probes.gpu.dra import device_classes
from tests.clusters import gpu
from tests.controlplane.api import Object
from tests.controlplane.server import ControlPlane
from tests.kube.servers import reply, serve
from tests.probes.looking import look


def device_class(name: str) -> Object:
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "DeviceClass",
        "metadata": {"name": name},
        "spec": {"selectors": [{"cel": {"expression": f"device.driver == '{name}'"}}]},
    }


def test_device_classes(cluster: ControlPlane) -> None:
    cluster.apply(device_class("gpu.nvidia.com"), device_class("dra.net"))
    seen = look("device_classes", cluster)
    assert seen.items == ("dra.net", "gpu.nvidia.com")
    assert "v1" in seen.versions


def test_a_server_without_device_classes(tmp_path: Path) -> None:
    with serve(lambda *_: reply(404, "404 page not found", "text/plain")) as server:
        assert device_classes(server.cluster(tmp_path)) == DeviceClasses()


def test_what_the_operator_says_of_itself(cluster: ControlPlane, crds: Path) -> None:
    assert look("gpu_operator_resources", cluster) == OperatorResources(), "no type of it is defined"
    cluster.load_crds(crds / "gpu-operator")
    cluster.apply(gpu.cluster_policy("notReady", "states not ready: [state-driver]"))
    (policy,) = look("gpu_operator_resources", cluster)
    assert (policy.kind, policy.name, policy.state) == ("ClusterPolicy", "cluster-policy", "notReady")
    assert (
        Condition("Error", "True", "OperandNotReady", "states not ready: [state-driver]") in policy.conditions
    )
