import socket
from pathlib import Path

import pytest

from dynocheck.facts import Autoscalers
from dynocheck.probes.capacity.autoscaling import autoscalers
from tests.clusters.objects import make_object
from tests.controlplane.server import ControlPlane
from tests.kube.servers import Request, items, reply, serve
from tests.probes.looking import look

GROUP = {"kind": "APIGroup", "name": "karpenter.sh", "versions": [{"version": "v1"}]}
STATUS = make_object("ConfigMap", "cluster-autoscaler-status", "kube-system")


def test_cluster_autoscaler_by_its_status(cluster: ControlPlane) -> None:
    assert look("autoscalers", cluster) == Autoscalers()
    namespace = cluster.namespace()
    cluster.apply(make_object("coordination.k8s.io/v1 Lease", "cluster-autoscaler", namespace, spec={}))
    assert look("autoscalers", cluster) == Autoscalers((f"Cluster Autoscaler ({namespace})",))
    cluster.apply(STATUS)
    both = (f"Cluster Autoscaler ({namespace})", "Cluster Autoscaler (kube-system)")
    assert set(look("autoscalers", cluster)) == set(both)


def test_without_permission_it_is_unknown(cluster: ControlPlane) -> None:
    seen = look("autoscalers", cluster, cluster.user("nobody"))
    assert (seen.items, 'cannot list resource "leases"' in seen.unseen) == ((), True)


@pytest.mark.parametrize(
    ("karpenter", "statuses", "expected"),
    [
        (200, [], ("Karpenter",)),
        (200, [STATUS], ("Karpenter", "Cluster Autoscaler (kube-system)")),
        (404, [], ()),
        (403, [STATUS], ("Cluster Autoscaler (kube-system)",)),
    ],
)
def test_karpenter_by_its_api_group(
    tmp_path: Path, karpenter: int, statuses: list[object], expected: tuple[str, ...]
) -> None:
    def handle(request: Request, connection: socket.socket) -> bytes:
        if request.path == "/apis/karpenter.sh":
            return reply(karpenter, GROUP if karpenter == 200 else {"kind": "Status", "message": "no"})
        if request.path.endswith("/leases"):
            return reply(200, items())
        return reply(200, STATUS) if statuses else reply(404, {"message": "no"})

    with serve(handle) as server:
        assert autoscalers(server.cluster(tmp_path)) == Autoscalers(expected)
