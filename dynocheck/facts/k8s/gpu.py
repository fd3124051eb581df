"""Facts about GPUs: what their operator says of itself, the classes of DRA, a node as its labels tell it."""

import re

import msgspec

from dynocheck.facts.base import FactList
from dynocheck.facts.k8s.cluster import ClusterFact, Condition, Node, Nodes, ResourceSlices

DRA_DRIVER = "gpu.nvidia.com"

_WORKLOAD = "nvidia.com/gpu.workload.config"
_VM_WORKLOADS = {"vm-passthrough", "vm-vgpu"}
_PRODUCT = ("nvidia.com/gpu.product", "cloud.google.com/gke-accelerator")
_DRIVER = ("nvidia.com/cuda.driver-version", "nvidia.com/cuda.driver")  # the second is the older spelling
_STRATEGY = ("nvidia.com/gpu.sharing-strategy", "cloud.google.com/gke-gpu-sharing-strategy")
_CLIENTS = ("nvidia.com/gpu.replicas", "cloud.google.com/gke-max-shared-clients-per-gpu")
_SUFFIX = re.compile(r"(-MIG-(INVALID|[0-9]+g\.[0-9]+gb.*?))?(-SHARED)?$", re.IGNORECASE)


class DriverSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator is told of the driver.

    `installs` is false where the driver comes with the machine. `peermem` says that nvidia-peermem is
    loaded, `modules` which flavour of kernel modules is built. `elsewhere` says that NVIDIADriver objects
    replace what this ClusterPolicy says.
    """

    installs: bool = True
    peermem: bool = False
    modules: str = "auto"
    elsewhere: bool = False


class OperatorResource(msgspec.Struct, frozen=True):
    """A ClusterPolicy, GPUCluster or NVIDIADriver: state ready, notReady, ignored, disabled or empty.

    `driver` is what a ClusterPolicy or NVIDIADriver says of the driver.
    """

    kind: str
    name: str
    state: str = ""
    conditions: tuple[Condition, ...] = ()
    driver: DriverSettings | None = None


class OperatorResources(ClusterFact, FactList[OperatorResource], frozen=True):
    """What the GPU Operator is told to do, and how far it says it has come."""


class DeviceClasses(ClusterFact, FactList[str], frozen=True):
    """The names of all DRA DeviceClasses; `versions` are those of resource.k8s.io that are served."""

    versions: tuple[str, ...] = ()


class GpuNode(msgspec.Struct, frozen=True):
    """A node with GPUs, as its labels tell them, or else the DRA driver; empty or None where neither does."""

    node: Node
    offered: dict[str, str] = {}

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def label(self) -> str:
        """The product as labelled, with what is said there of MIG and sharing."""
        offered = self.offered.get("productName", "").replace(" ", "-")
        return next((self.node.labels[key] for key in _PRODUCT if self.node.labels.get(key)), offered)

    @property
    def product(self) -> str:
        """The product of the whole GPU."""
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
        """The first number of the driver's version, None when none is told."""
        major = self.driver.partition(".")[0]
        return int(major) if major.isdecimal() else None

    @property
    def compute(self) -> tuple[int, int] | None:
        """The compute capability, None when it is not told."""
        offered = (*self.offered.get("cudaComputeCapability", "").split("."), "")
        major = self.node.labels.get("nvidia.com/gpu.compute.major", offered[0])
        minor = self.node.labels.get("nvidia.com/gpu.compute.minor", offered[1])
        return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else None

    @property
    def memory(self) -> int | None:
        """The memory of each GPU or MIG slice in MiB."""
        return self._number("nvidia.com/gpu.memory")

    @property
    def count(self) -> int | None:
        """How many GPUs or MIG slices there are, by label or else by capacity."""
        labelled = self._number("nvidia.com/gpu.count")
        return self.node.gpu_capacity.get("nvidia.com/gpu") if labelled is None else labelled

    @property
    def strategy(self) -> str:
        """How its GPUs are shared, such as `time-slicing` or `mps`; empty or `none` where they are not."""
        return next((self.node.labels[key] for key in _STRATEGY if self.node.labels.get(key)), "")

    @property
    def clients(self) -> int:
        """To how many each GPU is handed out."""
        if self.strategy in ("", "none"):
            return 1
        return next((number for key in _CLIENTS if (number := self._number(key))), 1)

    def _number(self, key: str) -> int | None:
        value = self.node.labels.get(key, "")
        return int(value) if value.isdecimal() else None


def find_dra_nodes(slices: ResourceSlices) -> set[str]:
    """The nodes on which the DRA driver offers GPUs."""
    return {s.node for s in slices if s.driver == DRA_DRIVER and s.devices and s.node is not None}


def has_gpus(node: Node) -> bool:
    """Whether the node says that it has GPUs for containers, usable or not."""
    for_vms = node.labels.get(_WORKLOAD) in _VM_WORKLOADS
    return (node.has_gpu_label or bool(node.gpu_resources)) and not for_vms


def list_gpu_nodes(nodes: Nodes, slices: ResourceSlices | None = None) -> list[GpuNode]:
    """The nodes that have GPUs for containers."""
    offered = {s.node: s.attributes for s in slices or () if s.driver == DRA_DRIVER and s.devices and s.node}
    return [
        GpuNode(node, offered.get(node.name, {})) for node in nodes if has_gpus(node) or node.name in offered
    ]
