"""Facts about a cluster from its API server: access, nodes, devices, storage classes, CRDs."""

from typing import Any, NamedTuple

import msgspec

from dynocheck.facts.base import Fact, FactList


class ClusterFact(Fact, frozen=True):
    """A fact that requires a cluster."""


class Access(msgspec.Struct, frozen=True, order=True):
    """A permission that a probe needs: one verb on one resource, in all namespaces.

    If `local`, it is needed only in the namespace of the run; with `names`, only for objects of these names,
    which a list asks for by the field selector metadata.name.
    """

    verb: str
    resource: str
    group: str = ""
    local: bool = False
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        suffix = f".{self.group}" if self.group else ""
        return " ".join([f"{self.verb} {self.resource}{suffix}", *self.names])


class RequiredAccess(NamedTuple):
    """Every permission that the probes of a run need: the input of the probe of permissions."""

    items: tuple[Access, ...]


class AccessReview(msgspec.Struct, frozen=True):
    """The API server's answer to a SelfSubjectAccessReview, with its reason if it gives one."""

    access: Access
    allowed: bool
    reason: str = ""


class Permissions(ClusterFact, FactList[AccessReview], frozen=True):
    """Which of the permissions that this run needs the user has."""


class ApiServer(ClusterFact, frozen=True):
    """The API server: its URL and version, e.g. `v1.36.3`."""

    url: str
    version: str
    platform: str = ""


class StorageClass(msgspec.Struct, frozen=True):
    """A StorageClass; `zones` are those in its `allowedTopologies`, empty for all."""

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
    """Every StorageClass. A class is the default by the current annotation or the beta one."""

    def find(self, name: str | None) -> StorageClass | None:
        """The class of this name."""
        return next((item for item in self.items if item.name == name), None)


class Condition(msgspec.Struct, frozen=True):
    """A status condition; `status` is True, False or Unknown."""

    type: str
    status: str
    reason: str = ""
    message: str = ""


class Taint(msgspec.Struct, frozen=True):
    """A taint of a node."""

    key: str
    effect: str
    value: str = ""


def _select_gpus(amounts: dict[str, str]) -> dict[str, int]:
    from dynocheck.facts.k8s.quantity import parse_device_count  # imports fractions, which is slow

    return {
        name: count
        for name, amount in amounts.items()
        if name.startswith(("nvidia.com/gpu", "nvidia.com/mig-"))
        and (count := parse_device_count(amount)) is not None
    }


# Labels of nodes with NVIDIA GPUs, set by GPU Feature Discovery and clouds.
_GPU_LABELS = {
    "nvidia.com/gpu.present": "true",
    "cloud.google.com/gke-accelerator": "nvidia-",  # prefix of the product name
    "eks.amazonaws.com/instance-gpu-manufacturer": "nvidia",
    "karpenter.k8s.aws/instance-gpu-manufacturer": "nvidia",
    "kubernetes.azure.com/accelerator": "nvidia",
}


class Node(msgspec.Struct, frozen=True):
    """A node; `allocatable` and `capacity` are quantities by resource name."""

    name: str
    labels: dict[str, str] = {}
    allocatable: dict[str, str] = {}
    capacity: dict[str, str] = {}
    taints: tuple[Taint, ...] = ()
    conditions: tuple[Condition, ...] = ()
    unschedulable: bool = False
    architecture: str = ""
    kernel: str = ""
    kubelet: str = ""

    @property
    def gpu_resources(self) -> dict[str, int]:
        """Allocatable NVIDIA GPUs and MIG slices by resource name, including those with 0."""
        return _select_gpus(self.allocatable)

    @property
    def gpu_capacity(self) -> dict[str, int]:
        """NVIDIA GPUs and MIG slices in the capacity, healthy or not, by resource name."""
        return _select_gpus(self.capacity)

    @property
    def gpus(self) -> int:
        """The number of allocatable GPUs and MIG slices."""
        return sum(self.gpu_resources.values())

    @property
    def is_down(self) -> bool:
        """Whether its condition Ready is reported as other than True."""
        return any(c.type == "Ready" and c.status != "True" for c in self.conditions)

    @property
    def has_gpu_label(self) -> bool:
        """Whether the GPU Operator, GPU Feature Discovery or a cloud has labelled this node as a GPU node."""
        return any(self.labels.get(label, "").startswith(value) for label, value in _GPU_LABELS.items())


class Nodes(ClusterFact, FactList[Node], frozen=True):
    """Every node."""


class Device(msgspec.Struct, frozen=True):
    """A device that a DRA driver offers.

    An attribute is a mapping of its type (string, bool, int, version) to its value. Names of attributes and
    capacities without a domain are of the driver.
    """

    name: str
    attributes: dict[str, dict[str, Any]] = {}
    capacity: dict[str, str] = {}
    taints: tuple[Taint, ...] = ()


class AllocatedDevice(msgspec.Struct, frozen=True):
    """A device that a ResourceClaim of a namespace holds for these pods; `claim` is its name.

    `extended` is true for a claim that the scheduler made for an extended resource.
    """

    driver: str
    pool: str
    name: str
    namespace: str = ""
    pods: tuple[str, ...] = ()
    extended: bool = False
    claim: str = ""


class ResourceSlice(msgspec.Struct, frozen=True):
    """A DRA ResourceSlice: the number of devices that a driver offers on a node, `rdma` of them RDMA devices.

    `attributes` are the product, driver version and compute capability of one device. `offered` are the
    devices that can be allocated, none while slices of the pool are missing; `is_partial` is true if they
    share counters, can be allocated more than once, or are not all for every pod on the node.
    """

    name: str
    driver: str
    node: str | None = None
    devices: int = 0
    attributes: dict[str, str] = {}
    rdma: int = 0
    pool: str = ""
    offered: tuple[Device, ...] = ()
    is_partial: bool = False


class ResourceSlices(ClusterFact, FactList[ResourceSlice], frozen=True):
    """Devices offered through Dynamic Resource Allocation; `served` is false if the API is not served.

    `allocated` are the devices that claims hold, None if the claims could not be read.
    """

    served: bool = True
    allocated: tuple[AllocatedDevice, ...] | None = None


class Pod(msgspec.Struct, frozen=True):
    """The state of a pod; `waiting` are the reasons why its containers wait.

    `terminating` is true if the pod is being deleted.
    """

    namespace: str
    name: str
    phase: str = ""
    ready: bool = False
    waiting: tuple[str, ...] = ()
    terminating: bool = False


class OperatorPods(ClusterFact, FactList[Pod], frozen=True):
    """The pods of the GPU Operator, in any namespace."""


class CustomResourceDefinition(msgspec.Struct, frozen=True):
    """A CustomResourceDefinition: its full name, served versions, and why it is not established."""

    name: str
    group: str
    served: tuple[str, ...] = ()
    established: bool = False
    annotations: dict[str, str] = {}
    reason: str = ""


class CustomResourceDefinitions(ClusterFact, FactList[CustomResourceDefinition], frozen=True):
    """Every CustomResourceDefinition, without schemas and with only the annotations that name a version."""

    def find(self, name: str) -> CustomResourceDefinition | None:
        """The definition with this full name, such as `gateways.gateway.networking.k8s.io`."""
        return next((crd for crd in self.items if crd.name == name), None)
