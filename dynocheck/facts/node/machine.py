"""What a machine or pod says about itself: GPUs, limits, RDMA, packages, environment, models."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from dynocheck.facts.base import Fact


class NodeFact(Fact, frozen=True):
    """A fact about the machine that dynocheck runs on."""


@dataclass(frozen=True)
class NodeRoot:
    """The machine to look at: the root of its file system, and the environment of its processes."""

    path: Path
    environment: Mapping[str, str]


class NodeRequest(NodeFact, frozen=True):
    """What the user expects of the machine: a number of GPUs, and a release of Dynamo."""

    gpus: int | None = None
    release: str | None = None


class NodeGpu(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU as NVML describes it. What NVML does not support on this GPU is None.

    `fault` is why NVML gives no handle to it, `fault_code` NVML's number for that. `slices` counts its MIG
    devices, `uncorrected` uncorrected ECC errors since the last reset. `sram_exceeded` is whether those of
    caches ever passed NVIDIA's threshold for replacement. `links` says for each NVLink whether
    it is active. `generation` is that of PCIe now, which a GPU lowers when it rests, `performance` the number
    of its P-state, 0 at full clocks. `throttle` holds NVML's bits of clocks event reasons, `recovery` NVML's
    GPU recovery action, `fabric_state`, `fabric_status` and `fabric_health` NVML's state, return code and
    health mask of the NVLink fabric. Of the `processes`, those in `gone` are not in /proc.
    """

    index: int
    name: str = ""
    uuid: str = ""
    bus: str = ""
    firmware: str = ""
    fault: str | None = None
    fault_code: int | None = None
    memory_mib: int | None = None
    used_mib: int | None = None
    capability: str | None = None
    mig: bool | None = None
    mig_pending: bool | None = None
    slices: int | None = None
    ecc: bool | None = None
    ecc_pending: bool | None = None
    uncorrected: int | None = None
    sram_exceeded: bool | None = None
    remap_pending: bool | None = None
    remap_failed: bool | None = None
    links: tuple[bool, ...] = ()
    width: int | None = None
    width_max: int | None = None
    generation: int | None = None
    generation_max: int | None = None
    performance: int | None = None
    throttle: int | None = None
    recovery: int | None = None
    power_limit_w: int | None = None
    power_default_w: int | None = None
    fabric_state: int | None = None
    fabric_status: int | None = None
    fabric_health: int | None = None
    compute_mode: int | None = None
    processes: tuple[int, ...] | None = None
    gone: tuple[int, ...] = ()


class NodeGpus(NodeFact, frozen=True):
    """The GPUs, by NVML and on the PCI bus. `absent` is why NVML cannot be asked.

    `pci` counts NVIDIA GPUs in sysfs, which in a container are those of the host. `given_all` is whether this
    container was given all of them.
    """

    devices: tuple[NodeGpu, ...] = ()
    driver: str | None = None
    cuda: str | None = None
    absent: str | None = None
    absent_code: int | None = None
    pci: int = 0
    given_all: bool = False

    @property
    def usable(self) -> tuple[NodeGpu, ...]:
        """Those that NVML gives a handle to."""
        return tuple(device for device in self.devices if device.fault is None)


class NodeHost(NodeFact, frozen=True):
    """Memory, shared memory and limits of this process; a limit of None is unlimited.

    `cgroup_used_mib` leaves out caches that the kernel can drop, `oom_kills` counts the processes of the
    cgroup that the kernel killed for memory. `cgroup_cpus` is the time of how many CPUs the cgroup may use,
    `huge_pages_free_mib` is reserved and used by nobody. `unread` names the files that could not be read.
    """

    container: bool = False
    shm_mib: int | None = None
    memory_mib: int | None = None
    cgroup_memory_mib: int | None = None
    cgroup_used_mib: int | None = None
    oom_kills: int = 0
    huge_pages_free_mib: int = 0
    cgroup_cpus: float | None = None
    cgroup_pids: int | None = None
    processes: int | None = None
    memlock: int | None = None
    ipc_lock: bool = False
    nofile: int | None = None
    unread: tuple[str, ...] = ()


class NodeKernelLog(NodeFact, frozen=True):
    """The XID messages of the kernel log, the oldest first. `unread` is why it cannot be read.

    `details` holds what follows the code in those of NVLink 5, which tells what to do.
    """

    xids: tuple[tuple[str, int], ...] = ()  # PCI address, code
    unread: str | None = None
    details: tuple[tuple[str, int, str], ...] = ()


class RdmaPort(msgspec.Struct, frozen=True):
    """A port of an RDMA device as in sysfs.

    `roce_v2` is whether it has a GID of RoCE v2, `v2_gids` at which indices. `slot_gbit_s` is what the PCIe
    link of its card carries in Gb/s, None where that is not told. `board` is the model of the card,
    `mtu` that of the net device behind it, which in a container may not be seen.
    """

    device: str
    number: int
    state: str
    physical: str = ""
    rate: str = ""
    link_layer: str = ""
    lid: int = 0
    roce_v2: bool = False
    driver: str = ""
    v2_gids: tuple[int, ...] = ()
    slot_gbit_s: float | None = None
    board: str = ""
    firmware: str = ""
    mtu: int | None = None


class NodeRdma(NodeFact, frozen=True):
    """RDMA ports, device nodes that this process may use, and whether nvidia_peermem or nv_peer_mem is
    loaded.

    `peers` is whether the RDMA stack lists that module in sysfs. `open_modules` is whether the NVIDIA driver
    has open kernel modules, which can share memory by dma-buf. `gdrcopy` is whether GDRCopy's device is
    there, `topology_override` the driver's GrdmaPciTopoCheckOverride, None where it has none.
    """

    ports: tuple[RdmaPort, ...] = ()
    verbs: tuple[str, ...] = ()
    peermem: bool = False
    peers: bool | None = None
    open_modules: bool | None = None
    kernel: str = ""
    gdrcopy: bool = False
    topology_override: int | None = None


class PciDevice(msgspec.Struct, frozen=True):
    """A GPU or an RDMA device on the PCI bus, and how it is reached.

    `name` is the RDMA device's, and empty for a GPU. `numa` is -1 where the firmware names no NUMA node.
    `bridges` are the PCI addresses above it, the root port first. `iommu` is the type of its IOMMU group,
    empty without one.
    """

    address: str
    name: str = ""
    numa: int = -1
    bridges: tuple[str, ...] = ()
    iommu: str = ""


class NodeTopology(NodeFact, frozen=True):
    """Where GPUs and RDMA devices sit.

    `cpus` holds the CPUs of each NUMA node that has some, `allowed` those that this process may use.
    `redirecting` are PCI switch ports whose ACS sends peer-to-peer transfers up, `acs_unread` those of which
    that cannot be read.
    """

    gpus: tuple[PciDevice, ...] = ()
    nics: tuple[PciDevice, ...] = ()
    cpus: dict[int, tuple[int, ...]] = msgspec.field(default_factory=dict)
    allowed: tuple[int, ...] = ()
    redirecting: tuple[str, ...] = ()
    acs_unread: tuple[str, ...] = ()


class NodeFabric(NodeFact, frozen=True):
    """NVSwitches on the PCI bus, whether the fabric manager's process is seen, and IMEX channels."""

    switches: int = 0
    manager: bool = False
    imex_channels: tuple[str, ...] = ()


class LinkCounter(msgspec.Struct, frozen=True):
    """An error counter of a GPU or an RDMA port, read twice."""

    kind: str
    name: str
    counter: str
    first: int
    second: int

    @property
    def growth(self) -> int:
        """By how much it grew; less than 0 when it was reset between the readings."""
        return self.second - self.first


class NodeCounters(NodeFact, frozen=True):
    """Error counters of NVLink, PCIe and RDMA links that are not 0, and the seconds between two readings."""

    items: tuple[LinkCounter, ...] = ()
    seconds: float = 0.0


class NodePackage(msgspec.Struct, frozen=True):
    """An installed distribution; `module` is its module, if that can be found."""

    name: str
    version: str
    module: str | None


class NodePackages(NodeFact, frozen=True):
    """Engines, Dynamo and what they need, as installed beside dynocheck; `backends` are NIXL's plug-ins.

    `libraries` are NCCL and UCX with the version of their files, where they are not of a package, `ucx` the
    modules of every UCX that was found, such as ib and cuda.
    """

    items: tuple[NodePackage, ...] = ()
    backends: tuple[str, ...] = ()
    libraries: dict[str, str] = msgspec.field(default_factory=dict)
    ucx: tuple[str, ...] = ()

    def find(self, name: str) -> NodePackage | None:
        """The package of this normalised name."""
        return next((package for package in self.items if package.name == name), None)


class NodeEnvironment(NodeFact, frozen=True):
    """Variables of Dynamo, CUDA, NCCL, UCX, NIXL and Hugging Face; secrets as "set"."""

    items: dict[str, str] = msgspec.field(default_factory=dict)


class CachedModel(msgspec.Struct, frozen=True):
    """A model in the Hugging Face cache, with its unfinished downloads, its revisions and what they lack."""

    name: str
    incomplete: int = 0
    missing: tuple[str, ...] = ()
    size_gb: float = 0.0
    revisions: tuple[str, ...] = ()


class NodeModelCache(NodeFact, frozen=True):
    """The Hugging Face cache and the disk that holds it. `unread` is why it cannot be read.

    `read_mb_s` is how fast a part of its largest file was read, past the page cache.
    """

    path: str
    exists: bool
    filesystem: str = ""
    free_gb: float | None = None
    size_gb: float | None = None
    models: tuple[CachedModel, ...] = ()
    read_mb_s: float | None = None
    unread: str | None = None


class ExerciseRequest(msgspec.Struct, frozen=True):
    """The user lets the GPUs do a little work, for so many seconds at most."""

    limit_s: float


class ExercisedGpu(msgspec.Struct, frozen=True):
    """What a GPU did: GB/s and TFLOPS; None is not measured. `fault` is how it failed. `busy` is whether it
    was left alone because its memory is in use.
    """

    index: int
    name: str
    device_gb_s: float | None = None
    host_gb_s: float | None = None
    peer_gb_s: float | None = None
    tflops: float | None = None
    fault: str | None = None
    busy: bool = False


class NodeExercise(NodeFact, frozen=True):
    """What the GPUs did when given work. `absent` is why they were not, `unfinished` why not all."""

    library: str = ""
    absent: str | None = None
    gpus: tuple[ExercisedGpu, ...] = ()
    unfinished: str | None = None


class TransferRequest(msgspec.Struct, frozen=True):
    """The user wants transfers measured, for so many seconds at most: among the GPUs of this machine, or with
    a peer, which is the address of one of the two machines that run this.
    """

    limit_s: float
    peer: str | None = None
    port: int = 12345


class MeasuredTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer that a program measured, in GB/s where it told. `by` are the transports that it named.

    `device` is the RDMA device it was bound to, `wrong` whether other data arrived than was sent, `fault` how
    the program failed.
    """

    program: str
    to: str
    gb_s: float | None = None
    by: tuple[str, ...] = ()
    device: str = ""
    wrong: bool = False
    fault: str | None = None


class NodeTransfer(NodeFact, frozen=True):
    """The transfers that were measured. `absent` is why none was."""

    items: tuple[MeasuredTransfer, ...] = ()
    absent: str | None = None
