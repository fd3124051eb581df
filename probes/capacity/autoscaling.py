"""Probe of autoscalers that may add nodes: Karpenter by its API group, Cluster Autoscaler by its status.

Clouds run them where users cannot see them: Karpenter in EKS Auto Mode and AKS node auto-provisioning, the
Cluster Autoscaler on GKE and AKS. By default a Cluster Autoscaler writes its status to a ConfigMap.
"""

import msgspec

from dynocheck import probe
from dynocheck.facts import Access, Autoscalers
from dynocheck.kube import Cluster, Forbidden, NotFound
from dynocheck.probes._k8s_types import METADATA, PartialObject

_KARPENTER = "/apis/karpenter.sh"
_STATUS = "metadata.name=cluster-autoscaler-status"


class _Group(msgspec.Struct):
    kind: str


@probe(access=[Access("list", "configmaps")])
def autoscalers(cluster: Cluster) -> Autoscalers:
    """Without permission to list ConfigMaps, `unseen` says why a Cluster Autoscaler may be missed."""
    names = ["Karpenter"] if _has_karpenter(cluster) else []
    try:
        statuses = cluster.items("/api/v1/configmaps", PartialObject, accept=METADATA, fieldSelector=_STATUS)
    except Forbidden as error:
        return Autoscalers(tuple(names), unseen=str(error))
    names += [f"Cluster Autoscaler ({status.metadata.namespace})" for status in statuses]
    return Autoscalers(tuple(names))


def _has_karpenter(cluster: Cluster) -> bool:
    try:
        cluster.get(_KARPENTER, _Group)
    except (NotFound, Forbidden):  # forbidden only where discovery is restricted
        return False
    return True
