"""Who may add nodes: Karpenter by its types, a Cluster Autoscaler by the status that it writes.

Clouds run either where no user sees it: Karpenter in EKS Auto Mode and AKS node auto-provisioning, the
Cluster Autoscaler on GKE and AKS. A Cluster Autoscaler writes its status unless it is told not to.
"""

import msgspec

from dynocheck import probe
from dynocheck.facts import Access
from dynocheck.facts.k8s.autoscaling import Autoscalers
from dynocheck.kube import Cluster, Forbidden, NotFound
from dynocheck.probes._k8s_types import METADATA, PartialObject

_KARPENTER = "/apis/karpenter.sh"
_STATUS = "metadata.name=cluster-autoscaler-status"


class _Group(msgspec.Struct):
    kind: str


@probe(access=[Access("list", "configmaps")])
def autoscalers(cluster: Cluster) -> Autoscalers:
    """Without the right to list ConfigMaps, whether there is a Cluster Autoscaler is not known."""
    found = ["Karpenter"] if _has_karpenter(cluster) else []
    try:
        told = cluster.items("/api/v1/configmaps", PartialObject, accept=METADATA, fieldSelector=_STATUS)
    except Forbidden as error:
        return Autoscalers(tuple(found), unseen=str(error))
    found += [f"Cluster Autoscaler ({each.metadata.namespace})" for each in told]
    return Autoscalers(tuple(found))


def _has_karpenter(cluster: Cluster) -> bool:
    try:
        cluster.get(_KARPENTER, _Group)
    except (NotFound, Forbidden):  # everybody may ask, save where somebody took that right away
        return False
    return True
