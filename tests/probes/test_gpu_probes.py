"""What the probes of GPUs see of a real API server."""

from pathlib import Path

from dynocheck.facts import Condition, DeviceClasses, OperatorResources
from dynocheck.probes.gpu.dra import device_classes
from tests.clusters import gpu
from tests.controlplane.server import ControlPlane
from tests.kinds.claimed import device_class
from tests.kube.servers import reply, serve
from tests.probes.looking import look


def test_device_classes(cluster: ControlPlane) -> None:
    cluster.apply(*(device_class(name, name) for name in ("gpu.nvidia.com", "dra.net")))
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
    error = Condition("Error", "True", "OperandNotReady", "states not ready: [state-driver]")
    assert error in policy.conditions
