"""Probe of autoscalers that may add nodes: Karpenter by its API group, Cluster Autoscaler by its status.

Clouds run them where users cannot see them: Karpenter in EKS Auto Mode and AKS node auto-provisioning, the
Cluster Autoscaler on GKE and AKS. By default a Cluster Autoscaler writes its status to a ConfigMap of
kube-system. One that is installed in another namespace is found by the Lease by which its replicas elect one.
"""

import msgspec

from dynocheck import probe
from dynocheck.facts import Access, Autoscalers
from dynocheck.kube import Cluster, Forbidden, NotFound
from dynocheck.probes._k8s_types import METADATA, PartialObject

_KARPENTER = "/apis/karpenter.sh"
_STATUS = "cluster-autoscaler-status"
_HOME = "kube-system"
_LEASES = "/apis/coordination.k8s.io/v1/leases"
_LEASE = "cluster-autoscaler"


class _Group(msgspec.Struct):
    kind: str


@probe(
    access=[
        Access("get", "configmaps", names=(_STATUS,)),
        Access("list", "leases", "coordination.k8s.io", names=(_LEASE,)),
    ]
)
def autoscalers(cluster: Cluster) -> Autoscalers:
    """Without these permissions, `unseen` says why a Cluster Autoscaler may be missed."""
    names = ["Karpenter"] if _has_karpenter(cluster) else []
    try:
        leases = cluster.items(
            _LEASES, PartialObject, accept=METADATA, fieldSelector=f"metadata.name={_LEASE}"
        )
        homes = {lease.metadata.namespace for lease in leases}
        if _HOME not in homes and _has_status(cluster):
            homes.add(_HOME)
    except Forbidden as error:
        return Autoscalers(tuple(names), unseen=str(error))
    return Autoscalers((*names, *(f"Cluster Autoscaler ({home})" for home in sorted(homes))))


def _has_status(cluster: Cluster) -> bool:
    try:
        cluster.get(f"/api/v1/namespaces/{_HOME}/configmaps/{_STATUS}", PartialObject)
    except NotFound:
        return False
    return True


def _has_karpenter(cluster: Cluster) -> bool:
    try:
        cluster.get(_KARPENTER, _Group)
    except (NotFound, Forbidden):  # forbidden only where discovery is restricted
        return False
    return True
