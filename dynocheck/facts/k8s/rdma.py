"""Facts about RDMA: the policies of the NVIDIA Network Operator."""

import msgspec

from dynocheck.facts.base import FactList
from dynocheck.facts.k8s.cluster import ClusterFact


class AppliedState(msgspec.Struct, frozen=True):
    """The state of one component of the Network Operator: ready, notReady, ignore or error."""

    name: str
    state: str
    message: str = ""


class NicPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A NicClusterPolicy or NicNodePolicy of the NVIDIA Network Operator.

    `components` are those that it configures. `resources` are the names of its RDMA resources, such as
    `rdma/rdma_shared_device_a`.
    """

    kind: str
    name: str
    state: str = ""
    states: tuple[AppliedState, ...] = ()
    components: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()


class NicPolicies(ClusterFact, FactList[NicPolicy], frozen=True):
    """The policies of the NVIDIA Network Operator; `served` is false if its CRDs are missing."""

    served: bool = True
