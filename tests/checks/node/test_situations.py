"""Broken machines: each is found by the check that it is about, and by no other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from dynocheck.checks.node.interconnect import paths
from dynocheck.checks.node.software import software
from dynocheck.checks.node.topology import topology_table
from dynocheck.facts import NodeFabric, NodeGpus, NodePackages, NodeRdma, NodeRequest, NodeTopology
from tests.checks.node.machines import (
    CONTAINER,
    HUB,
    LIMITS,
    SNAPSHOT,
    SOUND,
    SWITCHES,
    Content,
    Link,
    find_gpu_folder,
    gather,
    install,
    judge,
    make_config,
    pci,
    port,
)

MACHINES = ("dgx-h100", "hgx-b200", "gb200-tray", "l40s", "a100", "h200")
NVSWITCH = {
    "sys/bus/pci/devices/0000:90:00.0/vendor": "0x10de",
    "sys/bus/pci/devices/0000:90:00.0/class": "0x068000",
}
ONLY_EFA: dict[str, Content] = {
    **dict.fromkeys(port()),
    **port("efa_0", link_layer="Unspecified"),
    "sys/class/infiniband/efa_0/device/driver": Link("sys/bus/pci/drivers/efa"),
}
POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}
UNLISTED_PEERMEM = {
    "proc/driver/nvidia/version": "NVRM version: NVIDIA\n",
    "sys/module/nvidia_peermem/refcnt": "1",
}
ROCE = {"link_layer": "Ethernet", "lid": "0x0"}
POD_GIDS = port(**ROCE, gid_attrs__types__6="IB/RoCE v1", gid_attrs__types__7="RoCE v2")
INDEX = '{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}'


@dataclass(frozen=True)
class Case:
    """A machine with something changed, and what the checks find there, with commas between."""

    machine: str
    found: str
    nvml: dict[str, object] = field(default_factory=dict)
    files: Mapping[str, Content] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    request: NodeRequest = field(default_factory=NodeRequest)

    def run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
        install(tmp_path / "packages", self.packages, monkeypatch)
        facts = gather(tmp_path, monkeypatch, self.machine, self.nvml, self.files, self.environment)
        found = judge(facts, self.request)
        recorded = {
            kind: msgspec.json.decode(msgspec.json.encode(fact), type=kind) for kind, fact in facts.items()
        }
        assert judge(recorded, self.request) == found, "judged from a recording as live"
        return found - {"disk warn", "disk fail"}  # of the disk of whoever runs the tests


def mount(size: str) -> dict[str, str]:
    return {"proc/mounts": f"overlay / overlay rw 0 0\ntmpfs /dev/shm tmpfs rw,size={size} 0 0\n"}


def nic_slot(speed: str, width: int) -> dict[str, str]:
    """The PCIe link of mlx5_0."""
    nic = f"{SWITCHES[0]}/0000:0f:00.0"
    return {f"{nic}/current_link_speed": speed, f"{nic}/current_link_width": str(width)}


def xid(code: int, bus: str = "0000:10:00") -> dict[str, str | None]:
    return {"dev/kmsg": f"3,9,9,-;NVRM: Xid (PCI:{bus}): {code}, pid='<unknown>', name=<unknown>\n"}


def pci_of(count: int) -> dict[str, Content]:
    """No other GPUs on the PCI bus than so many."""
    return {f"sys/bus/pci/devices/0000:{0x10 + index:02x}:00.0": None for index in range(count, 8)}


def roce_ports(*mtus: int) -> dict[str, Content]:
    """RoCE ports from mlx5_1 on, with net devices of these MTUs, beside mlx5_0."""
    ports: dict[str, Content] = {}
    for number, mtu in enumerate(mtus, 1):
        ports |= port(f"mlx5_{number}", **ROCE, gid_attrs__types__0="RoCE v2")
        ports[f"sys/class/infiniband/mlx5_{number}/device/net/rdma{number}/mtu"] = str(mtu)
    return ports


def nvlink_xid(code: int, what: str, register: int) -> dict[str, str | None]:
    """An error of NVLink 5, as NVIDIA's catalog writes it."""
    line = (
        f"NVRM: Xid (PCI:0000:10:00): {code}, {what} XC0 i0 Link 08 (0x{register:08x} 0x00000040 0x00000000)"
    )
    return {"dev/kmsg": f"3,9,9,-;{line}\n"}


CASES = {
    # GPUs that are not there
    "GPU lost": Case("dgx-h100", "gpu-visible fail", {"gpu.3.handle": "!15"}, pci(8)),
    "GPU unknown error": Case("h200", "gpu-visible fail", {"gpu.0.handle": "!999"}),
    "GPU in use": Case("dgx-h100", "gpu-visible unknown", {"gpu.3.handle": "!19"}),
    "no permission": Case("a100", "gpu-visible unknown", {"gpu.3.handle": "!4"}),
    "one fell off the bus": Case("hgx-b200", "gpu-visible fail", {"gpus": 7}, pci(8)),
    "driver not loaded": Case("l40s", "gpu-visible fail", {"init": "!9"}, pci(4)),
    "driver and library differ": Case("gb200-tray", "gpu-visible fail", {"init": "!18"}, pci(4)),
    "fewer than expected": Case("a100", "gpu-visible fail", request=NodeRequest(gpus=9)),
    "none where one is expected": Case(
        "l40s", "gpu-visible fail", {"init": "!9"}, CONTAINER, request=NodeRequest(gpus=1)
    ),
    "container without devices": Case("l40s", "", {"init": "!9"}, {**CONTAINER, **pci(4)}),
    "container with two of eight": Case("h200", "", {"gpus": 2}, {**CONTAINER, **pci(8)}),
    # driver and CUDA
    "driver 570": Case("dgx-h100", "driver-floor warn", {"driver": "570.133.20", "cuda": 12080}),
    "driver 470 of a workstation card": Case(
        "l40s",
        "driver-floor fail",
        {"driver": "470.82.01", "cuda": 11040},
        request=NodeRequest(release="1.6.1"),
    ),
    "driver 535 by forward compatibility": Case(
        "a100",
        "driver-floor warn",
        {"driver": "535.183.06", "cuda": 12020},
        request=NodeRequest(release="1.6.1"),
    ),
    "driver of the future": Case("hgx-b200", "", {"driver": "610.57.04", "cuda": 13040}),
    "release without a table": Case("h200", "driver-floor unjudged", packages={"ai-dynamo": "0.1.0"}),
    "runtime of a newer major": Case(
        "h200", "cuda-consistent fail", {"cuda": 12080}, packages={"nvidia-cuda-runtime": "13.0.48"}
    ),
    "runtime of a newer minor": Case(
        "h200", "cuda-consistent warn", packages={"nvidia-cuda-runtime": "13.1.80"}
    ),
    "torch of a newer major": Case(
        "h200", "cuda-consistent fail", {"cuda": 12080}, packages={"torch": "2.9.1+cu130"}
    ),
    "torch of an older major": Case("h200", "", packages={"torch": "2.8.0+cu128"}),
    "image of a newer major": Case(
        "h200", "cuda-consistent fail", {"cuda": 12080}, environment={"CUDA_VERSION": "13.0.1"}
    ),
    "image of a newer major, forward compatible": Case(
        "h200",
        "cuda-consistent warn, driver-floor warn",
        {"driver": "570.133.20", "cuda": 12080},
        {"usr/local/cuda-13.0/compat/libcuda.so.580.95.05": ""},
        {"CUDA_VERSION": "13.0.1"},
    ),
    "image of tomorrow, with a compatibility package": Case(
        "h200",
        "cuda-consistent unjudged",
        files={"usr/local/cuda-14.0/compat/libcuda.so.640.10": ""},
        environment={"CUDA_VERSION": "14.0.0"},
    ),
    "runtime of the same": Case("h200", "", packages={"nvidia-cuda-runtime": "13.0.48"}),
    # faults of GPUs
    "ECC double bit": Case("dgx-h100", "ecc fail", {"gpu.5.uncorrected_volatile": 2}),
    "ECC errors of caches": Case("dgx-h100", "ecc fail", {"sram_exceeded": 0, "gpu.5.sram_exceeded": 1}),
    "ECC off": Case("a100", "ecc warn", {"gpu.1.ecc": 0}),
    "ECC waits for a reset": Case("l40s", "ecc warn", {"gpu.1.ecc_pending": 0}),
    "remap pending": Case("dgx-h100", "row-remap warn", {"gpu.2.remap_pending": 1}),
    "remap failed": Case("hgx-b200", "row-remap fail", {"gpu.2.remap_failed": 1}),
    "page to be retired, before Ampere": Case(
        "l40s", "row-remap warn", {"name": "Tesla T4", "remap_pending": "!3", "gpu.1.retiring": 1}
    ),
    "rows remapped long ago": Case("a100", "", {"gpu.2.remapped": 3}),
    "recovery: reset": Case("dgx-h100", "recovery fail", {"gpu.0.recovery": 1}, xid(95)),
    "recovery: reboot": Case("gb200-tray", "recovery fail", {"gpu.0.recovery": 2}, xid(79)),
    "recovery: of tomorrow": Case("gb200-tray", "recovery fail", {"gpu.0.recovery": 9}),
    "XID 79, older driver": Case("a100", "xid fail", {"recovery": "!3"}, xid(79)),
    "XID 95 of a MIG instance": Case("a100", "xid fail", {"recovery": "!3"}, xid(95, "0000:10:00 GPU-I:05")),
    "XID 119, older driver": Case("dgx-h100", "xid fail", {"recovery": "!3"}, xid(119)),
    "XID 64, older driver": Case("dgx-h100", "xid fail", {"recovery": "!3"}, xid(64)),
    "XID 79, recovered": Case("h200", "xid warn", files=xid(79)),
    "XID 63": Case("hgx-b200", "xid warn", {"recovery": "!3"}, xid(63)),
    "XID 31 of a process": Case("hgx-b200", "", {"recovery": "!3"}, xid(31)),
    "XID 94, contained": Case("hgx-b200", "", files=xid(94)),
    "XID that nobody knows": Case("l40s", "xid unjudged", files=xid(999)),
    "XID of somebody else's GPU": Case(
        "l40s", "", {"recovery": "!3"}, {**CONTAINER, **xid(79, "0000:99:00")}
    ),
    "XID 39, copy engine": Case("a100", "", {"recovery": "!3"}, xid(39)),
    "XID 88, video decoder": Case("h200", "", {"recovery": "!3"}, xid(88)),
    "XID 101, JPEG decoder": Case("h200", "", {"recovery": "!3"}, xid(101)),
    "XID 74, NVLink": Case("a100", "xid warn", {"recovery": "!3"}, xid(74)),
    "XID 145, fatal": Case(
        "hgx-b200", "xid fail", {"recovery": "!3"}, nvlink_xid(145, "RLW_REMAP Fatal", 0x82)
    ),
    "XID 145, fatal and recovered": Case(
        "hgx-b200", "xid warn", files=nvlink_xid(145, "RLW_REMAP Fatal", 0x82)
    ),
    "XID 144, not fatal": Case(
        "gb200-tray", "", {"recovery": "!3"}, nvlink_xid(144, "SAW_MVB Nonfatal", 0x1)
    ),
    "XID 145, whose meaning the driver's version tells": Case(
        "gb200-tray", "xid unjudged", {"recovery": "!3"}, nvlink_xid(145, "RLW_RXPIPE Nonfatal", 0x86)
    ),
    "XID 149, link down": Case(
        "gb200-tray", "xid fail", {"recovery": "!3"}, nvlink_xid(149, "NETIR_LINK_EVT Fatal", 0x04505C6)
    ),
    "XID 149, link down by a user": Case(
        "gb200-tray", "", {"recovery": "!3"}, nvlink_xid(149, "NETIR_LINK_DOWN Fatal", 0x26 << 20 | 0x11)
    ),
    "XID 149, cut off": Case("gb200-tray", "xid unjudged", {"recovery": "!3"}, xid(149)),
    "no kernel log": Case("l40s", "xid unknown", files={"dev/kmsg": None}),
    "PCIe x8": Case("dgx-h100", "pcie warn", {"gpu.4.width": 8}),
    "PCIe x4 slot": Case("l40s", "pcie warn", {"gpu.1.width": 4, "gpu.1.width_max": 4}),
    "PCIe of an older generation, unlike its neighbours": Case("h200", "pcie warn", {"gpu.6.generation": 1}),
    "PCIe of an older generation, at work": Case("a100", "pcie warn", {"generation": 3, "throttle": 0}),
    "PCIe of a lower generation, at rest": Case("a100", "", {"generation": 1, "performance": 8}),
    "PCIe of a slot of an older generation": Case(
        "h200", "", {"generation": 4, "generation_max": 4, "throttle": 0}
    ),
    "one at rest beside those at work": Case(
        "l40s",
        "",
        {
            "throttle": 0,
            "performance": 0,
            "generation": 4,
            "gpu.2.throttle": 1,
            "gpu.2.performance": 8,
            "gpu.2.generation": 1,
        },
    ),
    "NVLink down on a pair": Case(
        "dgx-h100", "nvlink fail", {"gpu.0.nvlinks_down": 1, "gpu.1.nvlinks_down": 1}
    ),
    "NVLink of one GPU gone": Case("a100", "nvlink fail", {"gpu.7.nvlinks": 11}),
    "NVLinks all down": Case("hgx-b200", "nvlink fail", {"nvlinks_down": 0x3FFFF}),
    "no bridge": Case("h200", "", {"name": "NVIDIA H100 PCIe", "nvlinks_down": 0x3FFFF}),
    "bridge over some of the NVLinks": Case(
        "h200", "", {"name": "NVIDIA H100 NVL", "nvlinks_down": 0b110000110000110000}
    ),
    "bridge over fewer NVLinks than others": Case(
        "h200",
        "nvlink fail",
        {"name": "NVIDIA H100 NVL", "nvlinks_down": 0b110000110000110000, "gpu.3.nvlinks_down": 0x3FFF0},
    ),
    "one GPU with NVLinks, alone": Case(
        "h200", "", {"gpus": 1, "nvlinks_down": 0x3FFFF, "fabric_state": 0}, pci_of(1)
    ),
    "one GPU of eight with NVLinks": Case(
        "h200", "nvlink fail", {"gpus": 1, "nvlinks_down": 0x3FFFF, "fabric_state": 0}, CONTAINER
    ),
    "hot": Case("l40s", "throttled warn", {"gpu.0.throttle": 0x40}),
    "power brake": Case("dgx-h100", "throttled warn", {"gpu.0.throttle": 0x88}),
    "at the power cap": Case("dgx-h100", "", {"throttle": 4}),
    "MIG on for some": Case("a100", "mig warn", {"gpu.0.mig": 1}),
    "MIG waits for a reset": Case("a100", "mig warn", {"gpu.0.mig_pending": 1}),
    "MIG on, rows untold": Case("a100", "row-remap unjudged", {"mig": 1, "remap_pending": "!3"}),
    "MIG on, no device made": Case("a100", "mig warn", {"mig": 1, "slices": 0}),
    "MIG on, in seven": Case("a100", "", {"mig": 1, "slices": 7}),
    "exclusive": Case("l40s", "compute-mode fail", {"gpu.0.compute_mode": 3}),
    "memory of a dead process": Case(
        "dgx-h100", "memory-free fail", {"gpu.6.used_mib": 70000, "gpu.6.processes": "666"}
    ),
    "memory of nobody": Case("l40s", "memory-free fail", {"gpu.0.used_mib": 30000}),
    "memory in use": Case(
        "l40s", "memory-free unknown", {"gpu.0.used_mib": 30000, "gpu.0.processes": "4242"}
    ),
    "memory held, from a container": Case(
        "l40s", "memory-free unknown", {"gpu.0.used_mib": 30000}, CONTAINER
    ),
    "memory held, from a pod without a token": Case(
        "l40s", "memory-free unknown", {"gpu.0.used_mib": 30000}, environment=POD
    ),
    "power limit lowered": Case("dgx-h100", "throttled warn", {"gpu.2.power_limit": 400000}),
    "heat, told by software": Case("h200", "throttled warn", {"gpu.2.throttle": 0x20}),
    # links and fabric
    "fabric not begun": Case("hgx-b200", "fabric fail", {"fabric_state": 1}),
    "fabric in progress": Case("gb200-tray", "fabric fail", {"gpu.0.fabric_state": 2}),
    "fabric failed": Case("dgx-h100", "fabric fail", {"gpu.0.fabric_status": 999}),
    "fabric degraded": Case("gb200-tray", "fabric warn", {"gpu.1.fabric_health": 0x1A9}),
    "fabric of another chassis": Case("gb200-tray", "fabric fail", {"gpu.1.fabric_health": 0x3AA}),
    "no fabric manager": Case("a100", "fabric fail", files=NVSWITCH),
    "fabric manager that ended": Case("dgx-h100", "fabric warn", files=NVSWITCH),
    "fabric manager of a pod's machine": Case("a100", "", files=NVSWITCH, environment=POD),
    "fabric manager": Case("a100", "", files={**NVSWITCH, "proc/77/comm": "nv-fabricmanage\n"}),
    "fabric manager unseen": Case("a100", "", files={**CONTAINER, **NVSWITCH}),
    "no IMEX channel": Case("gb200-tray", "fabric fail", environment={"NCCL_MNNVL_ENABLE": "1"}),
    "no IMEX channel, for UCX": Case(
        "gb200-tray", "fabric fail", environment={"UCX_CUDA_IPC_ENABLE_MNNVL": "y"}
    ),
    "IMEX channel": Case(
        "gb200-tray",
        "",
        files={"dev/nvidia-caps-imex-channels/channel0": ""},
        environment={"NCCL_MNNVL_ENABLE": "1"},
    ),
    "PCIe replays grow": Case("l40s", "link-errors warn", {"gpu.2.replays": "7+3"}),
    "PCIe replays of long ago": Case("l40s", "", {"gpu.2.replays": 7}),
    "NVLink CRC grows": Case("h200", "link-errors warn", {"gpu.0.field_38": "0+2"}),
    "NVLink recovery failed": Case("hgx-b200", "link-errors fail", {"gpu.0.field_214": 1}),
    "NVLink 5 receive errors grow": Case("gb200-tray", "link-errors warn", {"gpu.3.field_208": "4+1"}),
    "EFA command without an end": Case(
        "h200",
        "link-errors fail",
        files={"sys/class/infiniband/mlx5_0/hw_counters/no_completion_cmds": "1"},
    ),
    "link that was down once": Case(
        "h200", "", files={"sys/class/infiniband/mlx5_0/ports/1/counters/link_downed": "1"}
    ),
    # where things are
    "CPUs of the other socket": Case(
        "h200", "numa warn", files={"proc/self/status": "CapEff:\t0\nCpus_allowed_list:\t0-7\n"}
    ),
    "CPUs of both sockets": Case(
        "h200", "", files={"proc/self/status": "CapEff:\t0\nCpus_allowed_list:\t0-7,64-71\n"}
    ),
    "firmware without NUMA nodes": Case(
        "dgx-h100", "numa unjudged", files={f"{find_gpu_folder(0)}/numa_node": "-1"}
    ),
    "one NUMA node": Case(
        "l40s",
        "",
        files={
            "sys/devices/system/node/node1/cpulist": "\n",
            f"{find_gpu_folder(0, 4)}/numa_node": "-1",
        },
    ),
    "NICs at one socket": Case(
        "dgx-h100",
        "numa warn",
        files={
            **port("mlx5_1"),
            f"{SWITCHES[0]}/0000:0e:00.0/numa_node": "0",
            "sys/class/infiniband/mlx5_1/device": Link(f"{SWITCHES[0]}/0000:0e:00.0"),
        },
    ),
    "ACS on": Case("dgx-h100", "acs warn", files={f"{SWITCHES[0]}/config": make_config(acs=0x1D)}),
    "ACS only validates": Case("dgx-h100", "", files={f"{SWITCHES[0]}/config": make_config(acs=0x01)}),
    "ACS untold": Case("a100", "acs unknown", files={f"{SWITCHES[0]}/config": bytes(64)}),
    "IOMMU translates": Case(
        "hgx-b200", "iommu warn", files={f"{find_gpu_folder(3)}/iommu_group/type": "DMA-FQ"}
    ),
    "IOMMU of Grace": Case("gb200-tray", "", files={f"{find_gpu_folder(3, 4)}/iommu_group/type": "DMA-FQ"}),
    # limits
    "shm 64 MiB": Case("h200", "shm warn", files={"proc/mounts": "shm /dev/shm tmpfs rw,size=65536k 0 0\n"}),
    "no shm": Case("h200", "shm warn", files={"proc/mounts": "overlay / overlay rw 0 0\n"}),
    "memlock": Case(
        "h200", "memlock fail", files={"proc/self/limits": LIMITS.format(nofile=65536, memlock=65536)}
    ),
    "memlock, with the capability": Case(
        "h200",
        "",
        files={
            "proc/self/limits": LIMITS.format(nofile=65536, memlock=65536),
            "proc/self/status": "CapEff:\t000001ffffffffff\n",
        },
    ),
    "nofile": Case(
        "a100", "nofile warn", files={"proc/self/limits": LIMITS.format(nofile=1024, memlock="unlimited")}
    ),
    "few processes": Case("a100", "cgroup warn", files={"sys/fs/cgroup/pids.max": "512\n"}),
    "few processes, cgroup v1": Case(
        "a100", "cgroup warn", files={"sys/fs/cgroup/pids.max": None, "sys/fs/cgroup/pids/pids.max": "512\n"}
    ),
    "few processes of a service on the host": Case(
        "a100",
        "cgroup warn",
        files={
            "proc/self/cgroup": "0::/system.slice/engine.service\n",
            "sys/fs/cgroup/pids.max": None,
            "sys/fs/cgroup/system.slice/engine.service/pids.max": "max\n",
            "sys/fs/cgroup/system.slice/pids.max": "1024\n",
        },
    ),
    "fewer CPUs than GPUs": Case("h200", "cgroup warn", files={"sys/fs/cgroup/cpu.max": "400000 100000\n"}),
    "as many CPUs as GPUs": Case("h200", "", files={"sys/fs/cgroup/cpu.max": "800000 100000\n"}),
    "fewer CPUs than GPUs, cgroup v1": Case(
        "h200",
        "cgroup warn",
        files={
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
    ),
    "few processes of a user": Case(
        "a100",
        "cgroup warn",
        files={"proc/self/limits": f"Max processes 1024 1024 processes\n{SOUND['proc/self/limits']}"},
    ),
    "killed for memory": Case(
        "h200", "memory warn", files={"sys/fs/cgroup/memory.events": "oom 2\noom_kill 1\noom_group_kill 0\n"}
    ),
    "killed for memory, cgroup v1": Case(
        "h200", "memory warn", files={"sys/fs/cgroup/memory/memory.oom_control": "under_oom 0\noom_kill 3\n"}
    ),
    "memory nearly used": Case(
        "h200",
        "memory warn",
        files={
            **mount("1048576k"),
            "sys/fs/cgroup/memory.max": f"{64 << 30}\n",
            "sys/fs/cgroup/memory.current": f"{63 << 30}\n",
        },
    ),
    "memory used by caches": Case(
        "h200",
        "",
        files={
            **mount("1048576k"),
            "sys/fs/cgroup/memory.max": f"{64 << 30}\n",
            "sys/fs/cgroup/memory.current": f"{63 << 30}\n",
            "sys/fs/cgroup/memory.stat": f"anon 1\ninactive_file {50 << 30}\n",
        },
    ),
    "shm larger than memory": Case(
        "h200",
        "memory warn",
        files={**CONTAINER, **mount("67108864k"), "sys/fs/cgroup/memory.max": f"{32 << 30}\n"},
    ),
    "huge pages for nobody": Case(
        "a100",
        "memory warn",
        files={"sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages": "1024\n"},
    ),
    # RDMA
    "IB down": Case("dgx-h100", "rdma-link fail", files=port(state="1: DOWN", phys_state="2: Polling")),
    "one of two down": Case(
        "h200", "rdma-link warn", files=port("mlx5_1", state="1: DOWN", phys_state="2: Polling")
    ),
    "spare port": Case("h200", "", files=port("mlx5_1", state="1: DOWN", phys_state="3: Disabled")),
    "subnet manager gone": Case("h200", "rdma-link fail", files=port(lid="0x0")),
    "RoCE without GID": Case(
        "gb200-tray", "rdma-link fail", files=port(**ROCE, gid_attrs__types__0="IB/RoCE v1")
    ),
    "no subnet manager, links up": Case(
        "h200", "rdma-link fail", files=port(state="2: INIT", phys_state="5: LinkUp", lid="0xffff")
    ),
    "one lane": Case("dgx-h100", "rdma-link warn", files=port("mlx5_1", rate="100 Gb/sec (1X NDR)")),
    "NIC in a narrow slot": Case("dgx-h100", "rdma-link warn", files=nic_slot("32.0 GT/s PCIe", 8)),
    "NIC in its slot": Case("dgx-h100", "", files=nic_slot("32.0 GT/s PCIe", 16)),
    "NIC of a virtual machine": Case("dgx-h100", "", files=nic_slot("Unknown", 0)),
    "management of NVSwitches": Case("hgx-b200", "", files=nic_slot("32.0 GT/s PCIe", 2)),
    "MTU of one RoCE port": Case("h200", "rdma-link warn", files=roce_ports(9000, 9000, 1500)),
    "MTU of all RoCE ports": Case("h200", "", files=roce_ports(1500, 1500, 1500)),
    "GIDs of a pod": Case("h200", "", files={**CONTAINER, **POD_GIDS}),
    "GID index of another pod": Case(
        "h200",
        "transport-env warn",
        files={**CONTAINER, **POD_GIDS},
        environment={"NCCL_IB_GID_INDEX": "3"},
    ),
    "GID index of this pod": Case(
        "h200", "", files={**CONTAINER, **POD_GIDS}, environment={"NCCL_IB_GID_INDEX": "7"}
    ),
    "GID index, on InfiniBand": Case("h200", "", environment={"NCCL_IB_GID_INDEX": "3"}),
    "RoCE": Case("gb200-tray", "", files=port(**ROCE, gid_attrs__types__0="RoCE v2")),
    "no verbs, and wanted": Case(
        "dgx-h100",
        "rdma-in-container fail",
        files={**CONTAINER, "dev/infiniband/uverbs0": None},
        environment={"UCX_TLS": "rc,cuda_copy"},
    ),
    "no verbs, not wanted": Case("dgx-h100", "", files={**CONTAINER, "dev/infiniband/uverbs0": None}),
    "closed modules": Case(
        "a100", "gpudirect warn", files={"proc/driver/nvidia/version": "NVRM version: NVIDIA\n"}
    ),
    "closed modules with peermem": Case(
        "a100",
        "",
        files={
            "proc/driver/nvidia/version": "NVRM version: NVIDIA\n",
            "sys/module/nvidia_peermem/refcnt": "1",
        },
    ),
    "closed modules with the older peermem": Case(
        "a100",
        "",
        files={
            "proc/driver/nvidia/version": "NVRM version: NVIDIA\n",
            "sys/module/nv_peer_mem/refcnt": "0",
            "sys/kernel/mm/memory_peers/nv_mem/version": "1.3",
        },
    ),
    "peermem that an older NCCL does not see": Case(
        "a100", "gpudirect warn", files={**UNLISTED_PEERMEM, "usr/lib64/libnccl.so.2.22.3": ""}
    ),
    "peermem that NCCL sees": Case("a100", "", files={**UNLISTED_PEERMEM, "usr/lib64/libnccl.so.2.23.4": ""}),
    "EFA of GB200 without the override": Case(
        "gb200-tray",
        "gpudirect fail, rdma-link unjudged, interconnect unjudged",
        files={**ONLY_EFA, "proc/driver/nvidia/params": "GrdmaPciTopoCheckOverride: 0\n"},
    ),
    "EFA of GB200 with the override": Case(
        "gb200-tray",
        "rdma-link unjudged, interconnect unjudged",
        files={**ONLY_EFA, "proc/driver/nvidia/params": "GrdmaPciTopoCheckOverride: 1\n"},
    ),
    "EFA of GB200 under driver 595": Case(
        "gb200-tray",
        "gpudirect warn, rdma-link unjudged, interconnect unjudged",
        {"driver": "595.91.07", "cuda": 13020},
        ONLY_EFA,
    ),
    "UCX_TLS without CUDA": Case("h200", "transport-env fail", environment={"UCX_TLS": "rc,sm"}),
    "gdr_copy without GDRCopy": Case(
        "h200", "transport-env warn", environment={"UCX_TLS": "rc,cuda_copy,gdr_copy"}
    ),
    "gdr_copy": Case("h200", "", files={"dev/gdrdrv": ""}, environment={"UCX_TLS": "rc,cuda_copy,gdr_copy"}),
    "UCX_TLS by exclusion": Case("h200", "", environment={"UCX_TLS": "^cuda_ipc"}),
    "P2P off": Case("h200", "transport-env warn", environment={"NCCL_P2P_DISABLE": "1"}),
    "device of another machine": Case(
        "h200", "transport-env warn", environment={"NCCL_IB_HCA": "=mlx5_8:1,mlx5_9:1"}
    ),
    "devices by the beginning of their name": Case("h200", "", environment={"NCCL_IB_HCA": "mlx5"}),
    "devices by exclusion": Case("h200", "", environment={"NCCL_IB_HCA": "^mlx5_7"}),
    "device that is down": Case(
        "h200",
        "rdma-link warn, transport-env warn",
        files={**port(state="1: DOWN", phys_state="2: Polling"), **port("mlx5_1")},
        environment={"UCX_NET_DEVICES": "mlx5_0:1"},
    ),
    "devices with a net device": Case("h200", "", environment={"UCX_NET_DEVICES": "mlx5_0:1,eth0"}),
    "GPUDirect off": Case("h200", "transport-env warn", environment={"UCX_IB_GPU_DIRECT_RDMA": "no"}),
    # the one answer
    "TCP by its transports": Case("h200", "interconnect warn", environment={"UCX_TLS": "tcp,cuda_copy"}),
    "UCX without RDMA": Case(
        "h200", "interconnect warn", files={"usr/local/ucx/lib/ucx/libuct_cuda.so.0": ""}
    ),
    "UCX without CUDA": Case(
        "h200", "interconnect warn", files={"usr/lib/x86_64-linux-gnu/ucx/libuct_ib.so.0": ""}
    ),
    "UCX with both": Case(
        "h200",
        "",
        files={f"usr/local/ucx/lib/ucx/libuct_{name}.so.0.0.0": "" for name in ("cuda", "ib", "ib_mlx5")},
    ),
    "any transport": Case("h200", "", environment={"UCX_TLS": "all"}),
    "EFA without libfabric": Case(
        "h200",
        "rdma-link unjudged, interconnect warn",
        files={**ONLY_EFA, "plugins/libplugin_UCX.so": ""},
        environment={"NIXL_PLUGIN_DIR": "/plugins"},
    ),
    "EFA with libfabric": Case(
        "h200",
        "rdma-link unjudged",
        files={**ONLY_EFA, "plugins/libplugin_LIBFABRIC.so": ""},
        environment={"NIXL_PLUGIN_DIR": "/plugins"},
    ),
    # software and models
    "engine by half": Case("h200", "engine-importable fail", packages={"vllm": "!0.33.0"}),
    "engine of another release": Case(
        "h200", "engine-versions warn", packages={"vllm": "0.9.0"}, request=NodeRequest(release="1.7.0")
    ),
    "engine of the release": Case(
        "h200", "", packages={"vllm": "0.33.0", "nixl": "1.3.2", "ai-dynamo": "1.7.0"}
    ),
    "no NIXL": Case("h200", "nixl warn", packages={"vllm": "0.33.0", "ai-dynamo": "1.7.0"}),
    "half a download": Case(
        "l40s", "hf-cache warn", files={f"{HUB}/models--org--model/blobs/a.incomplete": ""}
    ),
    "weights missing": Case(
        "l40s", "hf-cache fail", files={f"{SNAPSHOT}/model.safetensors.index.json": INDEX}
    ),
    "revision that was not downloaded": Case(
        "l40s",
        "hf-cache fail",
        files={f"{HUB}/models--org--model/refs/main": "e" * 40, f"{SNAPSHOT}/config.json": "{}"},
    ),
    "cache complete": Case(
        "l40s",
        "",
        files={
            f"{SNAPSHOT}/model.safetensors.index.json": INDEX,
            f"{SNAPSHOT}/model-00001-of-00002.safetensors": "x",
            f"{SNAPSHOT}/model-00002-of-00002.safetensors": "x",
        },
    ),
    "cache on NFS": Case(
        "l40s",
        "hf-cache unjudged",
        files={
            "proc/mounts": f"{SOUND['proc/mounts']}srv:/m /models nfs4 rw 0 0\n",
            "models/hub/models--org--model/snapshots/0123/config.json": "{}",
        },
        environment={"HF_HOME": "/models"},
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_broken_machine_is_found_by_its_check(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert case.run(tmp_path, monkeypatch) == set(filter(None, case.found.split(", ")))


@pytest.mark.parametrize("machine", MACHINES)
def test_a_sound_machine_has_no_findings(
    machine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Case(machine, "").run(tmp_path, monkeypatch) == set()


def test_a_machine_that_shows_nothing_ends_in_reasons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No NVML, no /proc, no /sys."""
    facts = gather(tmp_path, monkeypatch, "l40s", {"init": "!9"}, {}, {}, whole=False)
    assert judge(facts, NodeRequest()) <= {"disk warn", "disk fail", "nofile unknown"}


def test_tables_tell_where_things_are_and_how_data_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "dev/gdrdrv": "",
        "usr/lib/x86_64-linux-gnu/libnccl.so.2.27.3": "",
        "usr/local/ucx/lib/pkgconfig/ucx.pc": "Name: ucx\nVersion: 1.19.0\n",
    }
    known = gather(tmp_path, monkeypatch, "dgx-h100", {}, files, {})
    assert {row["name"]: row["version"] for row in software(known[NodePackages])}.items() >= {
        ("NCCL", "2.27.3"),
        ("UCX", "1.19.0"),
    }
    gpus, rdma = known[NodeGpus], known[NodeRdma]
    rows = list(topology_table(gpus, known[NodeTopology]))
    assert [row["NUMA node"] for row in rows] == [0] * 4 + [1] * 4
    assert ([row["switch"] for row in rows], rows[7]["elsewhere"]) == (["mlx5_0"] * 4 + [""] * 4, "mlx5_0")
    ways = {row["to"]: row["by"] for row in paths(rdma, gpus, known[NodeFabric], known[NodePackages])}
    assert ways["GPUs of this machine"] == "144 NVLinks"
    assert ways["other machines"] == "RDMA: 1 x 400 Gb/sec (4X NDR), by dma-buf, GDRCopy"
