"""Facts about RDMA: what policies of the operators say that concerns it."""

import msgspec

from dynocheck.facts.base import Many
from dynocheck.facts.cluster import ClusterFact, Node, ResourceSlices

_FACTORS = {"": 1, "k": 10**3, "M": 10**6, "Ki": 2**10, "Mi": 2**20}


def amount(quantity: str) -> int | None:
    """How many devices a quantity says, or None when it says no whole number.

    The API server writes 1000 as `1k`, which shared device plugins do offer.
    """
    number = quantity.rstrip("kKMi")
    factor = _FACTORS.get(quantity[len(number) :])
    return int(number) * factor if number.isdecimal() and factor is not None else None


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


class NicPolicies(ClusterFact, Many[NicPolicy], frozen=True):
    """What the NVIDIA Network Operator was asked for; `served` is false where its types are not there."""

    served: bool = True


class GpuDriver(msgspec.Struct, frozen=True, kw_only=True):
    """What a ClusterPolicy or NVIDIADriver of the GPU Operator says of the driver.

    `peermem` says that it loads nvidia-peermem, `modules` which flavour of kernel modules it builds.
    `elsewhere` says that NVIDIADriver objects replace what this ClusterPolicy says.
    """

    kind: str
    name: str
    state: str = ""
    installs: bool = True
    peermem: bool = False
    modules: str = "auto"
    elsewhere: bool = False


class GpuDrivers(ClusterFact, Many[GpuDriver], frozen=True):
    """How the GPU Operator installs drivers; none where it does not, or is not there."""


def has_gpus(node: Node, slices: ResourceSlices) -> bool:
    """Whether the node has GPUs for containers, by its labels, its resources or through DRA."""
    claimed = any(s.driver == "gpu.nvidia.com" and s.devices and s.node == node.name for s in slices)
    vms = node.labels.get("nvidia.com/gpu.workload.config") in ("vm-passthrough", "vm-vgpu")
    return (node.labelled_gpu or bool(node.gpu_resources) or claimed) and not vms
