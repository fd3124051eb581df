"""Facts about RDMA: what policies of the operators say that concerns it."""

import msgspec

from dynocheck.facts.base import FactList
from dynocheck.facts.k8s.cluster import ClusterFact


class AppliedState(msgspec.Struct, frozen=True):
    """How far the Network Operator is with one component: ready, notReady, ignore or error."""

    name: str
    state: str
    message: str = ""


class NicPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A NicClusterPolicy or NicNodePolicy of the NVIDIA Network Operator.

    `components` are those it asks for. `resources` are the RDMA resources that it gives a name, such as
    `rdma/rdma_shared_device_a`.
    """

    kind: str
    name: str
    state: str = ""
    states: tuple[AppliedState, ...] = ()
    components: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()


class NicPolicies(ClusterFact, FactList[NicPolicy], frozen=True):
    """What the NVIDIA Network Operator was asked for; `served` is false where its types are not there."""

    served: bool = True
