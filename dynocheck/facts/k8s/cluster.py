"""Facts about a cluster, as its API server tells them."""

from typing import NamedTuple

import msgspec

from dynocheck.facts.base import Fact, FactList


class ClusterFact(Fact, frozen=True):
    """A fact that only a cluster can give."""


class Access(msgspec.Struct, frozen=True, order=True):
    """A right that a probe needs: one verb on one resource, in all namespaces.

    A `local` one is needed only in the namespace of the run.
    """

    verb: str
    resource: str
    group: str = ""
    local: bool = False

    def __str__(self) -> str:
        suffix = f".{self.group}" if self.group else ""
        return f"{self.verb} {self.resource}{suffix}"


class RequiredAccess(NamedTuple):
    """Every right that the probes of a run need: what the probe of permissions looks at."""

    items: tuple[Access, ...]


class AccessReview(msgspec.Struct, frozen=True):
    """The API server's answer to "may I?", with its reason where it gives one."""

    access: Access
    allowed: bool
    reason: str = ""


class Permissions(ClusterFact, FactList[AccessReview], frozen=True):
    """What the user may do, of all that this run needs."""


class ApiServer(ClusterFact, frozen=True):
    """The server that answered: its URL and the version it tells, e.g. `v1.36.3`."""

    url: str
    version: str
    platform: str = ""


class StorageClass(msgspec.Struct, frozen=True):
    """A StorageClass; `zones` are those that its `allowedTopologies` name, none of them for all."""

    name: str
    provisioner: str
    is_default: bool = False
    created: str = ""
    parameters: dict[str, str] = {}
    binding_mode: str = "Immediate"
    reclaim_policy: str = "Delete"
    allows_expansion: bool = False
    zones: tuple[str, ...] = ()


class StorageClasses(ClusterFact, FactList[StorageClass], frozen=True):
    """Every StorageClass. A class is default by the annotation in use or by its beta spelling."""

    def find(self, name: str | None) -> StorageClass | None:
        """The class of this name."""
        return next((each for each in self.items if each.name == name), None)


class Condition(msgspec.Struct, frozen=True):
    """A status condition; `status` is True, False or Unknown."""

    type: str
    status: str
    reason: str = ""
    message: str = ""


class Taint(msgspec.Struct, frozen=True):
    key: str
    effect: str
    value: str = ""


def _select_gpus(amounts: dict[str, str]) -> dict[str, int]:
    from dynocheck.facts.k8s.quantity import parse_device_count  # fractions are read only here

    return {
        name: count
        for name, amount in amounts.items()
        if name.startswith(("nvidia.com/gpu", "nvidia.com/mig-"))
        and (count := parse_device_count(amount)) is not None
    }


# What says that a node has GPUs of NVIDIA: GPU Feature Discovery, and clouds of the machines that they give.
_SAYS_GPU = {
    "nvidia.com/gpu.present": "true",
    "cloud.google.com/gke-accelerator": "nvidia-",  # the start of the product's name
    "eks.amazonaws.com/instance-gpu-manufacturer": "nvidia",
    "karpenter.k8s.aws/instance-gpu-manufacturer": "nvidia",
    "kubernetes.azure.com/accelerator": "nvidia",
}


class Node(msgspec.Struct, frozen=True):
    name: str
    labels: dict[str, str] = {}
    allocatable: dict[str, str] = {}
    capacity: dict[str, str] = {}
    taints: tuple[Taint, ...] = ()
    conditions: tuple[Condition, ...] = ()
    unschedulable: bool = False
    architecture: str = ""
    kernel: str = ""

    @property
    def gpu_resources(self) -> dict[str, int]:
        """Allocatable GPUs and MIG slices of NVIDIA by resource name, those of which there are 0 included."""
        return _select_gpus(self.allocatable)

    @property
    def gpu_capacity(self) -> dict[str, int]:
        """The same of what is there, whether it is healthy or not."""
        return _select_gpus(self.capacity)

    @property
    def gpus(self) -> int:
        """How many GPUs or MIG slices pods can be given on this node."""
        return sum(self.gpu_resources.values())

    @property
    def has_gpu_label(self) -> bool:
        """Whether the GPU Operator, GPU Feature Discovery or a cloud says that this node has GPUs."""
        return any(self.labels.get(label, "").startswith(value) for label, value in _SAYS_GPU.items())


class Nodes(ClusterFact, FactList[Node], frozen=True):
    """Every node."""


class ResourceSlice(msgspec.Struct, frozen=True):
    """A DRA ResourceSlice: a driver offers this many devices on a node, `rdma` of them RDMA devices.

    `attributes` are those of one device that tell product, driver version and compute capability.
    """

    name: str
    driver: str
    node: str | None = None
    devices: int = 0
    attributes: dict[str, str] = {}
    rdma: int = 0


class ResourceSlices(ClusterFact, FactList[ResourceSlice], frozen=True):
    """Devices offered through Dynamic Resource Allocation; `served` is false where the API is not there."""

    served: bool = True


class Pod(msgspec.Struct, frozen=True):
    namespace: str
    name: str
    phase: str = ""
    ready: bool = False
    waiting: tuple[str, ...] = ()


class OperatorPods(ClusterFact, FactList[Pod], frozen=True):
    """The pods of the GPU Operator itself, in whatever namespace it was installed."""


class CustomResourceDefinition(msgspec.Struct, frozen=True):
    name: str
    group: str
    served: tuple[str, ...] = ()
    established: bool = False
    annotations: dict[str, str] = {}
    reason: str = ""


class CustomResourceDefinitions(ClusterFact, FactList[CustomResourceDefinition], frozen=True):
    """Every CustomResourceDefinition, without its schemas; of its annotations those that tell a version."""

    def find(self, name: str) -> CustomResourceDefinition | None:
        """The definition of that full name, such as `gateways.gateway.networking.k8s.io`."""
        return next((crd for crd in self.items if crd.name == name), None)
