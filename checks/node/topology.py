"""Where GPUs, RDMA devices and CPUs sit, and what stands between them."""

import re
from collections.abc import Iterable, Iterator

from dynocheck import Finding, Row, Skip, check, table, unjudged, unknown, warn
from dynocheck.checks.node._ladder import name_gpu, require_gpus
from dynocheck.core.outcomes import Result
from dynocheck.facts import NodeGpu, NodeGpus, NodeTopology, PciDevice

_COHERENT = re.compile(r"\bG[HB]\d{3}")  # their memory is reached through the SMMU of the Grace CPU
_TRANSLATING = ("DMA", "DMA-FQ")  # types of IOMMU groups


def _place(gpus: NodeGpus, topology: NodeTopology) -> list[tuple[NodeGpu, PciDevice]]:
    """Each GPU with its place on the PCI bus. NVML writes the domain with more digits.

    :raises Skip: there is none.
    """
    places = {device.address[-10:]: device for device in topology.gpus}
    placed = [(gpu, places[gpu.bus[-10:]]) for gpu in require_gpus(gpus) if gpu.bus[-10:] in places]
    if not placed:
        raise Skip("the GPUs' places on the PCI bus cannot be seen")
    return placed


@check("node.numa", title="GPUs, their NICs and CPUs are near each other")
def numa(gpus: NodeGpus, topology: NodeTopology) -> Iterator[Result]:
    """A process that may only use CPUs of another socket, and a GPU whose nearest RDMA device is at another
    socket, move everything over the link between the sockets, which is slower.

    Fix: set topologyManagerPolicy: best-effort or single-numa-node in the kubelet's configuration
    """
    placed = _place(gpus, topology)
    if len(topology.cpus) < 2:
        raise Skip("the machine has one NUMA node")
    allowed = set(topology.allowed)
    near = {node for node, cpus in topology.cpus.items() if allowed.intersection(cpus)}
    with_nic = {nic.numa for nic in topology.nics}
    for gpu, place in placed:
        if place.numa < 0:
            yield unjudged(f"GPU {gpu.index}", why="the firmware names no NUMA node", subject=name_gpu(gpu))
        elif near and place.numa in topology.cpus and place.numa not in near:
            yield warn(
                f"GPU {gpu.index} is at NUMA node {place.numa}, the CPUs of this process at {_list(near)}",
                fix="set topologyManagerPolicy: best-effort in the kubelet's configuration",
                subject=name_gpu(gpu),
            )
    nodes = {place.numa for _, place in placed} & topology.cpus.keys()
    far = nodes - with_nic
    if far and -1 not in with_nic and len(topology.nics) >= len(nodes):
        yield warn(
            f"RDMA devices are at NUMA node {_list(with_nic)} alone, GPUs also at {_list(far)}",
            fix="move RDMA devices to slots of the other socket",
        )


def _list(nodes: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(nodes)))


@check("node.acs", title="PCI switches pass transfers between GPUs and NICs")
def acs(gpus: NodeGpus, topology: NodeTopology) -> Iterator[Finding]:
    """With Access Control Services on, a PCI switch sends transfers between the devices below it up to the
    CPU and back, which slows GPUDirect, or makes NCCL hang. A virtual machine needs it, and shows no switch.

    Fix: switch ACS off in the BIOS, or setpci -s PORT ECAP_ACS+0x6.w=0000
    """
    places = [*(place for _, place in _place(gpus, topology)), *topology.nics]
    above = {bridge for place in places for bridge in place.bridges}
    redirecting, unread = above.intersection(topology.redirecting), above.intersection(topology.acs_unread)
    if not any(len(place.bridges) > 1 for place in places):
        raise Skip("no GPU is below a PCI switch")
    if redirecting:
        yield warn(
            f"ACS is on for {len(redirecting)} switch ports above GPUs and NICs, such as {min(redirecting)}",
            fix=f"switch ACS off in the BIOS, or setpci -s {min(redirecting)} ECAP_ACS+0x6.w=0000",
            evidence={"ports": sorted(redirecting)},
        )
    elif unread:
        yield unknown(
            f"the ACS of {len(unread)} switch ports cannot be read", fix="run as root on the node itself"
        )


@check("node.iommu", title="The IOMMU translates no transfers of GPUs")
def iommu(gpus: NodeGpus, topology: NodeTopology) -> Iterator[Finding]:
    """An IOMMU that translates addresses sends transfers between devices through the CPU: GPUDirect is slow
    or fails. Grace machines need it.

    Fix: boot with iommu=pt, or switch the IOMMU off in the BIOS
    """
    places = _place(gpus, topology)
    found = [gpu for gpu, at in places if at.iommu in _TRANSLATING and not _COHERENT.search(gpu.name)]
    if found:
        yield warn(
            f"the IOMMU translates the transfers of {len(found)} GPUs",
            fix="boot with iommu=pt, or switch the IOMMU off in the BIOS",
            evidence={"gpus": [gpu.index for gpu in found]},
        )


@table("node.topology", title="GPUs and RDMA devices", note="switch: below the same PCI switch")
def topology_table(gpus: NodeGpus, topology: NodeTopology) -> Iterator[Row]:
    """A row a GPU, with the RDMA devices by how near they are."""
    if not topology.nics:
        return
    for gpu, place in _place(gpus, topology) if gpus.usable else ():
        yield {
            "GPU": gpu.index,
            "NUMA node": place.numa if place.numa >= 0 else "?",
            **{how: _name_nics(place, topology, how) for how in ("switch", "same node", "elsewhere")},
        }


def _name_nics(gpu: PciDevice, topology: NodeTopology, how: str) -> str:
    return ", ".join(nic.name for nic in topology.nics if _compare(gpu, nic) == how)


def _compare(gpu: PciDevice, nic: PciDevice) -> str:
    """How near they are."""
    if len(gpu.bridges) > 1 and gpu.bridges[1:2] == nic.bridges[1:2]:
        return "switch"
    return "same node" if gpu.numa == nic.numa >= 0 else "elsewhere"
