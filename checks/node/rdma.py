"""RDMA links, what a container gets of them, and GPUDirect."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from dynocheck import Finding, Skip, Subject, check, fail, unjudged, unknown, warn
from dynocheck.core.outcomes import Result
from dynocheck.facts import NodeEnvironment, NodeGpus, NodePackages, NodeRdma, RdmaPort

_INFINIBAND, _ETHERNET = "InfiniBand", "Ethernet"
RDMA_TRANSPORTS = {"rc", "rc_x", "rc_v", "rc_mlx5", "dc", "dc_x", "dc_mlx5", "ud", "ud_x", "ud_v", "ib"}
_UNUSED = "Disabled"
_PLAIN = re.compile(r"[\w.-]+(:\d+)?")
DMA_BUF_KERNEL = (5, 12)
EFA = "efa"
_FINDS_PEERMEM = (2, 23)
_NO_OVERRIDE = 595  # the first driver branch without GrdmaPciTopoCheckOverride


def split_transports(environment: NodeEnvironment) -> set[str]:
    """The transports that UCX_TLS lists; none where it is not set or lists those that are left out."""
    text = environment.items.get("UCX_TLS", "")
    return set() if text.startswith("^") else {word.strip() for word in text.split(",")} - {""}


def parse_kernel(rdma: NodeRdma) -> tuple[int, ...]:
    """The version of the kernel, such as (6, 8)."""
    return tuple(int(part) for part in rdma.kernel.split("-")[0].split(".")[:2] if part.isdigit())


def _require_ports(rdma: NodeRdma) -> list[RdmaPort]:
    ports = [port for port in rdma.ports if not port.physical.endswith(_UNUSED)]
    if not ports:
        raise Skip("no RDMA port in use here")
    return ports


@check("node.rdma-link", title="RDMA links are up")
def rdma_link(rdma: NodeRdma) -> Iterator[Result]:
    """KV cache moves between nodes over these links. One that is down, has lost lanes or sits in too
    narrow a slot slows the GPUs beside it, or makes the transport fall back to TCP. Ports that are disabled
    are left out; those of EFA always say that they are up.

    Fix: look at the cable and the switch port, and for InfiniBand at the subnet manager
    """
    ports = _require_ports(rdma)
    any_up = any(port.state == "ACTIVE" for port in ports)
    for port in ports:
        subject = Subject("RDMA port", f"{port.device}/{port.number}")
        if port.driver == EFA:
            yield unjudged(str(subject), why="EFA always says that it is up", subject=subject)
        elif port.state != "ACTIVE":
            yield (warn if any_up else fail)(
                f"{subject} is {port.state or 'in no known state'} ({port.physical or 'no link'})",
                fix="look at the cable and the switch port, and for InfiniBand at the subnet manager",
                subject=subject,
            )
        elif port.link_layer == _INFINIBAND and port.lid == 0:
            yield fail(f"{subject} has no LID", fix="look at the subnet manager", subject=subject)
        elif port.link_layer == _ETHERNET and not port.roce_v2:
            fix = "give the net device behind it an address, and enable RoCE v2"
            yield fail(f"{subject} has no GID of RoCE v2", fix=fix, subject=subject)
        else:
            yield from _judge_speed(port, subject)
    yield from _judge_mtu([port for port in ports if port.state == "ACTIVE" and port.mtu])


def _judge_speed(port: RdmaPort, subject: Subject) -> Iterator[Finding]:
    """Whether a link that is up is narrower than it should be. A port of InfiniBand has two or four lanes."""
    if port.link_layer == _INFINIBAND and "(1X" in port.rate:
        fix = "look at the cable and the switch port"
        yield warn(f"{subject} has one lane: {port.rate}", fix=fix, subject=subject)
    rate = port.rate.partition(" ")[0]
    if port.slot_gbit_s and rate.isdigit() and port.slot_gbit_s < int(rate):
        yield warn(
            f"{subject}: its PCIe link carries {port.slot_gbit_s:.0f} Gb/s of {port.rate}",
            fix="reseat the card, or put it into a slot with all lanes of its generation",
            subject=subject,
        )


def _judge_mtu(ports: Sequence[RdmaPort]) -> Iterator[Finding]:
    """Whether ports of one kind have net devices of one MTU, which RoCE cuts its packets by."""
    for port in ports:
        alike = Counter(
            each.mtu for each in ports if (each.rate, each.link_layer) == (port.rate, port.link_layer)
        )
        usual, count = alike.most_common(1)[0]
        if port.link_layer == _ETHERNET and count * 2 > alike.total() and port.mtu != usual:
            yield warn(
                f"RDMA port {port.device}/{port.number}: the MTU is {port.mtu}, that of the others {usual}",
                fix=f"ip link set DEVICE mtu {usual}",
                subject=Subject("RDMA port", f"{port.device}/{port.number}"),
            )


@check("node.rdma-in-container", title="RDMA devices can be opened where they are wanted")
def rdma_in_container(rdma: NodeRdma, environment: NodeEnvironment) -> Iterator[Finding]:
    """/sys shows the RDMA devices of the host also in a container that was given none; /dev/infiniband holds
    those that can be opened. Without one, UCX and NCCL fall back to TCP.

    Fix: request the RDMA resource of the node in the pod's limits; on a host, modprobe ib_uverbs
    """
    _require_ports(rdma)
    wanted = _find_rdma_wish(environment)
    if not rdma.verbs and wanted is None:
        raise Skip("no device in /dev/infiniband, and no variable asks for RDMA")
    if not rdma.verbs:
        yield fail(
            f"{wanted} asks for RDMA, and /dev/infiniband has no device",
            fix="request the RDMA resource of the node in the pod's limits; on a host, modprobe ib_uverbs",
        )


def _find_rdma_wish(environment: NodeEnvironment) -> str | None:
    """The variable that names an RDMA transport or device."""
    if split_transports(environment) & RDMA_TRANSPORTS:
        return "UCX_TLS"
    names = ("UCX_NET_DEVICES", "NCCL_IB_HCA")
    return next((name for name in names if "mlx5" in environment.items.get(name, "")), None)


@check("node.gpudirect", title="RDMA can reach GPU memory")
def gpudirect(rdma: NodeRdma, gpus: NodeGpus, packages: NodePackages) -> Iterator[Finding]:
    """Without nvidia_peermem or dma-buf every transfer of KV cache goes through host memory, which is several
    times slower. dma-buf needs the open kernel modules of the driver and Linux 5.12. On GB200 and GB300 a
    driver before 595 reaches EFA only with GrdmaPciTopoCheckOverride=1, and 595 does not reach it. NCCL
    before 2.23 looks for nvidia_peermem only where the RDMA stack lists it (NVIDIA/nccl#1676).

    Fix: modprobe nvidia_peermem, or install the open kernel modules
    """
    yield from _judge_efa(rdma, gpus)
    ports = [port for port in _require_ports(rdma) if port.driver != EFA]
    if not gpus.usable or not ports:
        raise Skip("no GPU beside an RDMA device other than EFA")
    version = parse_kernel(rdma)
    if rdma.peermem:
        nccl = _find_nccl(packages)
        has_dma_buf = rdma.open_modules and version >= DMA_BUF_KERNEL
        if rdma.peers is False and not has_dma_buf and nccl and nccl < _FINDS_PEERMEM:
            yield warn(
                f"NCCL {'.'.join(map(str, nccl))} does not see nvidia_peermem: "
                "its transfers go through host memory",
                fix="upgrade NCCL to 2.23, or install the open kernel modules",
            )
    elif rdma.open_modules is None or len(version) < 2:
        yield unknown("neither nvidia_peermem nor the kind of the driver can be seen")
    elif not rdma.open_modules or version < DMA_BUF_KERNEL:
        yield warn(
            "neither nvidia_peermem nor dma-buf: transfers go through host memory",
            fix="modprobe nvidia_peermem, or install the open kernel modules",
            evidence={"kernel": rdma.kernel, "open_modules": rdma.open_modules},
        )


def _find_nccl(packages: NodePackages) -> tuple[int, ...]:
    """The version of NCCL, empty where it is not known."""
    named = [package.version for package in packages.items if package.name.startswith("nvidia-nccl")]
    text = next(iter(named), packages.libraries.get("NCCL", ""))
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def _judge_efa(rdma: NodeRdma, gpus: NodeGpus) -> Iterator[Finding]:
    """Whether the driver reaches EFA from the GPUs of a Grace machine (NVIDIA/aicr#2459)."""
    branch = (gpus.driver or "").partition(".")[0]
    blackwell = any(word in gpu.name for gpu in gpus.usable for word in ("GB200", "GB300"))
    if not blackwell or not branch.isdigit() or all(port.driver != EFA for port in rdma.ports):
        return
    if int(branch) >= _NO_OVERRIDE:
        yield warn(
            f"driver {gpus.driver} may not reach EFA from GPU memory on this machine",
            fix="take driver branch 580, or look for topology not supported in the kernel log",
        )
    elif rdma.topology_override == 0:
        yield fail(
            "the driver's GrdmaPciTopoCheckOverride is 0: EFA cannot reach GPU memory",
            fix="options nvidia NVreg_GrdmaPciTopoCheckOverride=1 in /etc/modprobe.d, and reboot",
        )


@check("node.transport-env", title="Transport variables leave GPU and RDMA transfers possible")
def transport_env(environment: NodeEnvironment, gpus: NodeGpus, rdma: NodeRdma) -> Iterator[Finding]:
    """UCX_TLS as a list admits only what it names: without cuda_copy or cuda_ipc, GPU memory cannot be moved.
    Variables that switch off peer-to-peer or InfiniBand are often left from a test, those that name ports or
    GIDs are often taken from another machine, and gdr_copy needs the device of GDRCopy.

    Fix: unset the variable, or add cuda_copy,cuda_ipc to UCX_TLS
    """
    if not gpus.usable:
        raise Skip("no GPU here")
    listed, transports = split_transports(environment), environment.items.get("UCX_TLS", "")
    if listed and not listed & {"all", "cuda", "cuda_copy", "cuda_ipc"}:
        yield fail(
            f"UCX_TLS={transports} leaves out GPU memory", fix=f"UCX_TLS={transports},cuda_copy,cuda_ipc"
        )
    if "gdr_copy" in listed and not rdma.gdrcopy:
        yield warn(
            "UCX_TLS names gdr_copy, and /dev/gdrdrv is not there",
            fix="install GDRCopy on the node (driver.gdrcopy of the GPU Operator), or leave gdr_copy out",
        )
    yield from _judge_switches(environment, rdma)
    if rdma.verbs:
        yield from _judge_names(environment, rdma)


def _judge_switches(environment: NodeEnvironment, rdma: NodeRdma) -> Iterator[Finding]:
    """Variables that switch a path off."""
    of_rdma = {"NCCL_IB_DISABLE": ("1",), "UCX_IB_GPU_DIRECT_RDMA": ("n", "no", "0", "off")}
    for name, off in {"NCCL_P2P_DISABLE": ("1",), **(of_rdma if rdma.verbs else {})}.items():
        value = environment.items.get(name, "")
        if value.lower() in off:
            yield warn(f"{name}={value}", fix=f"unset {name}")


def _judge_names(environment: NodeEnvironment, rdma: NodeRdma) -> Iterator[Finding]:
    """Variables that name ports and GIDs, which differ between nodes and between pods."""
    up = [port for port in rdma.ports if port.state == "ACTIVE" and port.driver != EFA]
    for name in ("NCCL_IB_HCA", "UCX_NET_DEVICES"):
        text = environment.items.get(name, "")
        words = text.removeprefix("=").split(",")
        if not up or "all" in words or not all(map(_PLAIN.fullmatch, words)):
            continue
        if not any(port.device.startswith(word.partition(":")[0]) for port in up for word in words):
            yield warn(
                f"{name}={text} names no RDMA port that is up",
                fix=f"unset {name}, or name {', '.join(sorted({port.device for port in up}))}",
            )
    gids = {index for port in up if port.link_layer == _ETHERNET for index in port.v2_gids}
    for name in ("NCCL_IB_GID_INDEX", "UCX_IB_GID_INDEX"):
        index = environment.items.get(name, "")
        if gids and index.isdigit() and int(index) not in gids:
            yield warn(
                f"{name}={index}: no port that is up has a GID of RoCE v2 there, but at "
                f"{', '.join(map(str, sorted(gids)))}",
                fix=f"unset {name}, so that the index is found",
            )
