"""Facts about GPUs: the GPU Operator, DRA device classes, and the GPUs of a node by its labels."""

import re

import msgspec

from dynocheck.facts.base import FactList
from dynocheck.facts.k8s.cluster import ClusterFact, Condition, Node, Nodes, ResourceSlice, ResourceSlices
from dynocheck.facts.k8s.quantity import parse_quantity

DRA_DRIVER = "gpu.nvidia.com"

# Labels by which a node opts out of all that the GPU Operator runs, or of the device plugin:
# https://docs.nvidia.com/datacenter/cloud-native/gpu-operator/latest/getting-started.html
_OPT_OUT = ("nvidia.com/gpu.deploy.operands", "nvidia.com/gpu.deploy.device-plugin")
_WORKLOAD = "nvidia.com/gpu.workload.config"
_VM_WORKLOADS = {"vm-passthrough", "vm-vgpu"}
_PRODUCT = ("nvidia.com/gpu.product", "cloud.google.com/gke-accelerator")
_DRIVER = ("nvidia.com/cuda.driver-version", "nvidia.com/cuda.driver")  # the second is the older spelling
_STRATEGY = ("nvidia.com/gpu.sharing-strategy", "cloud.google.com/gke-gpu-sharing-strategy")
_CLIENTS = ("nvidia.com/gpu.replicas", "cloud.google.com/gke-max-shared-clients-per-gpu")
_SUFFIX = re.compile(r"(-MIG-(INVALID|[0-9]+g\.[0-9]+gb.*?))?(-SHARED)?$", re.IGNORECASE)


class DriverSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The driver settings of the GPU Operator.

    `installs` is false if the driver is preinstalled on the nodes. `peermem` is true if nvidia-peermem is
    loaded, `modules` is the kernel module type (auto, open, proprietary). `elsewhere` is true if NVIDIADriver
    objects override this ClusterPolicy.
    """

    installs: bool = True
    peermem: bool = False
    modules: str = "auto"
    elsewhere: bool = False


class OperatorResource(msgspec.Struct, frozen=True):
    """A ClusterPolicy, GPUCluster or NVIDIADriver; `state` is ready, notReady, ignored, disabled or empty.

    `driver` are the driver settings of a ClusterPolicy or NVIDIADriver.
    """

    kind: str
    name: str
    state: str = ""
    conditions: tuple[Condition, ...] = ()
    driver: DriverSettings | None = None


class OperatorResources(ClusterFact, FactList[OperatorResource], frozen=True):
    """The configuration of the GPU Operator and its status."""


class DeviceClass(msgspec.Struct, frozen=True):
    """The selectors in CEL of a DeviceClass, and the extended resource that its devices serve, if any."""

    selectors: tuple[str, ...] = ()
    extended_resource: str = ""


class DeviceClasses(ClusterFact, FactList[str], frozen=True):
    """The names of all DRA DeviceClasses, and their `rules` by name.

    `versions` are the served versions of resource.k8s.io.
    """

    versions: tuple[str, ...] = ()
    rules: dict[str, DeviceClass] = msgspec.field(default_factory=dict)


class GpuNode(msgspec.Struct, frozen=True):
    """A node with GPUs, described by its labels or else by the DRA driver; empty or None if neither does."""

    node: Node
    offered: dict[str, str] = {}

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def label(self) -> str:
        """The product label, including its MIG and sharing suffixes."""
        offered = self.offered.get("productName", "").replace(" ", "-")
        return next((self.node.labels[key] for key in _PRODUCT if self.node.labels.get(key)), offered)

    @property
    def product(self) -> str:
        """The product name of the whole GPU."""
        return _SUFFIX.sub("", self.label)

    @property
    def driver(self) -> str:
        """The driver's version, such as `580.95.05` or `580`."""
        full = self.node.labels.get("nvidia.com/cuda.driver-version.full", "")
        if full:
            return full
        for key in _DRIVER:
            last = "revision" if key.endswith("version") else "rev"
            parts = [self.node.labels.get(f"{key}.{part}", "") for part in ("major", "minor", last)]
            if parts[0]:
                return ".".join(part for part in parts if part)
        return self.offered.get("driverVersion", "")

    @property
    def driver_branch(self) -> int | None:
        """The major version of the driver; None if unknown."""
        major = self.driver.partition(".")[0]
        return int(major) if major.isdecimal() else None

    @property
    def compute(self) -> tuple[int, int] | None:
        """The compute capability; None if unknown."""
        offered = (*self.offered.get("cudaComputeCapability", "").split("."), "")
        major = self.node.labels.get("nvidia.com/gpu.compute.major", offered[0])
        minor = self.node.labels.get("nvidia.com/gpu.compute.minor", offered[1])
        return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else None

    @property
    def memory(self) -> int | None:
        """The memory of each GPU or MIG slice in MiB, by label or else as the DRA driver offers it; None if
        unknown.
        """
        offered = self.offered.get("memory", "")
        labelled = self._number("nvidia.com/gpu.memory")
        return int(offered) if labelled is None and offered else labelled

    @property
    def count(self) -> int | None:
        """The number of GPUs or MIG slices, by label or else by capacity; None if unknown."""
        labelled = self._number("nvidia.com/gpu.count")
        return self.node.gpu_capacity.get("nvidia.com/gpu") if labelled is None else labelled

    @property
    def strategy(self) -> str:
        """How the GPUs are shared, such as `time-slicing` or `mps`; empty or `none` if they are not."""
        return next((self.node.labels[key] for key in _STRATEGY if self.node.labels.get(key)), "")

    @property
    def clients(self) -> int:
        """The number of pods that can share a GPU."""
        if self.strategy in ("", "none"):
            return 1
        return next((number for key in _CLIENTS if (number := self._number(key))), 1)

    def _number(self, key: str) -> int | None:
        value = self.node.labels.get(key, "")
        return int(value) if value.isdecimal() else None


def find_dra_nodes(slices: ResourceSlices) -> set[str]:
    """The names of the nodes on which the DRA driver offers GPUs."""
    return {s.node for s in slices if s.driver == DRA_DRIVER and s.devices and s.node is not None}


def has_gpus(node: Node) -> bool:
    """Whether the node has GPUs for containers, usable or not, by its labels and resources.

    A node that opts out of the GPU Operator's operands or its device plugin has them only if it offers them.
    """
    if node.labels.get(_WORKLOAD) in _VM_WORKLOADS:
        return False
    if any(node.labels.get(label) == "false" for label in _OPT_OUT):
        return node.gpus > 0
    return node.has_gpu_label or bool(node.gpu_resources)


def _describe_memory(offer: ResourceSlice) -> dict[str, str]:
    """The memory in MiB of the smallest whole GPU that is offered."""
    gpus = [d for d in offer.offered if d.attributes.get("type", {}).get("string", "gpu") == "gpu"]
    amounts = [parse_quantity(device.capacity.get("memory", "")) for device in gpus]
    known = [int(amount) >> 20 for amount in amounts if amount]
    return {"memory": str(min(known))} if known else {}


def list_gpu_nodes(nodes: Nodes, slices: ResourceSlices | None = None) -> list[GpuNode]:
    """The nodes that have GPUs for containers."""
    offered = {
        s.node: {**s.attributes, **_describe_memory(s)}
        for s in slices or ()
        if s.driver == DRA_DRIVER and s.devices and s.node
    }
    return [
        GpuNode(node, offered.get(node.name, {})) for node in nodes if has_gpus(node) or node.name in offered
    ]
