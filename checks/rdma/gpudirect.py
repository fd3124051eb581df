"""Checks that GPUs and RDMA devices exchange data directly."""

from collections.abc import Iterator

from dynocheck import Result, Skip, Subject, check, judged, unjudged, warn
from dynocheck.checks.rdma.nodes import CLAIMED, count_rdma_devices
from dynocheck.core.outcomes import Unjudged
from dynocheck.data.rdma import rdma_resource
from dynocheck.facts import (
    DriverSettings,
    GpuNode,
    NicPolicies,
    Nodes,
    OperatorResource,
    OperatorResources,
    ResourceSlices,
    list_gpu_nodes,
)

_OLD_GPUS = ("maxwell", "pascal", "volta")
_OPEN_BRANCH = 560  # the first driver branch that defaults to the open kernel modules
# https://docs.coreweave.com/products/networking/hpc-interconnect/use-gpudirect-rdma: nodes with InfiniBand or
# RoCE, which this label tells, come with the drivers
_COREWEAVE = "backend.coreweave.cloud/flavor"
_FABRICS = ("infiniband", "roce")
_DMA_BUF_KERNEL = (5, 12)
_MANUAL = "on the node, modinfo -F license nvidia prints MIT for open modules, and lsmod lists nvidia_peermem"
_SLOW = "transfers go through host memory"


@check("rdma.gpudirect", title="RDMA devices can reach GPU memory directly")
def gpudirect(
    operator: OperatorResources, policies: NicPolicies, nodes: Nodes, slices: ResourceSlices
) -> Iterator[Result]:
    """Without GPUDirect RDMA each transfer is copied through host memory.

    It needs DMA-BUF (the driver's open kernel modules, Linux 5.12 or newer, and GPUs since Turing) or the
    older module nvidia-peermem, which the GPU Operator loads if `driver.rdma.enabled` is set. Judged are
    clusters where the operator installs the driver, and nodes of CoreWeave that its labels connect to a
    fabric, which have what it needs. A preinstalled driver is visible only on the node elsewhere; EFA and
    GKE use other mechanisms.

    Fix: set driver.kernelModuleType to open, or driver.rdma.enabled to true, in the ClusterPolicy.
    """
    devices = count_rdma_devices(nodes, policies, slices)
    gpu_nodes = [gpu for gpu in list_gpu_nodes(nodes, slices) if _uses_mlx(devices[gpu.name])]
    if not gpu_nodes:
        raise Skip("no GPU node has RDMA devices that need DMA-BUF or nvidia-peermem")
    provided = [gpu for gpu in gpu_nodes if gpu.node.labels.get(_COREWEAVE) in _FABRICS]
    gpu_nodes = [gpu for gpu in gpu_nodes if gpu not in provided]
    if provided:
        yield judged(len(provided), "nodes")
    active = _find_active(operator)
    for node in gpu_nodes if not active else ():
        yield _describe_unjudged(node, "the GPU Operator does not install its driver")
    for resource, driver in active:
        yield from _check_driver(resource, driver, gpu_nodes)


def _describe_unjudged(node: GpuNode, why: str) -> Unjudged:
    subject = Subject("Node", node.name)
    return unjudged(str(subject), why=why, needs=_MANUAL, subject=subject)


def _uses_mlx(devices: dict[str, int]) -> bool:
    """Whether a node has devices of the driver mlx5; resources that only a NIC policy names are of it."""
    rows = [rdma_resource(name) for name, count in devices.items() if count and name != CLAIMED]
    return any(row is None or row.mlx for row in rows)


def _find_active(operator: OperatorResources) -> list[tuple[OperatorResource, DriverSettings]]:
    """The driver settings in force: of a ClusterPolicy, or of the NVIDIADriver objects that replace it."""
    settings = [(resource, resource.driver) for resource in operator if resource.state != "ignored"]
    drivers = [(resource, driver) for resource, driver in settings if driver]
    policies = [driver for resource, driver in drivers if resource.kind == "ClusterPolicy"]
    if not all(driver.installs for driver in policies):
        return []
    kind = "NVIDIADriver" if any(driver.elsewhere for driver in policies) else "ClusterPolicy"
    return [(resource, driver) for resource, driver in drivers if resource.kind == kind]


def _check_driver(
    resource: OperatorResource, driver: DriverSettings, nodes: list[GpuNode]
) -> Iterator[Result]:
    """The obstacles to GPUDirect RDMA, and the nodes whose labels do not show them."""
    if driver.peermem:
        yield judged(len(nodes), "nodes")
        return
    if driver.modules == "proprietary":
        yield warn(
            f"proprietary kernel modules without nvidia-peermem: {_SLOW}",
            fix=_suggest_patch(resource, '"kernelModuleType":"open"'),
            subject=Subject(resource.kind, resource.name),
        )
        yield judged(len(nodes), "nodes")
        return
    for node in nodes:
        obstacle = _find_obstacle(node, driver)
        if obstacle is None:
            yield _describe_unjudged(node, "its labels do not show which kernel modules run")
            continue
        yield judged(1, "nodes")
        if obstacle:
            yield warn(
                f"{obstacle}, and nvidia-peermem is not loaded: {_SLOW}",
                fix=_suggest_patch(resource, '"rdma":{"enabled":true}'),
                subject=Subject("Node", node.name),
            )


def _suggest_patch(resource: OperatorResource, field: str) -> str:
    spec = f'"driver":{{{field}}}' if resource.kind == "ClusterPolicy" else field
    target = f"{resource.kind.lower()}.nvidia.com {resource.name}"
    return f"kubectl patch {target} --type merge -p '{{\"spec\":{{{spec}}}}}'"


def _find_obstacle(gpu: GpuNode, driver: DriverSettings) -> str | None:
    """Why a node cannot use DMA-BUF; empty if it can, None if unknown."""
    family = gpu.node.labels.get("nvidia.com/gpu.family", "")
    kernel = _parse_kernel(gpu.node.kernel)
    if family in _OLD_GPUS:
        return f"its GPUs ({family}) have no open kernel modules, so no DMA-BUF"
    if kernel is not None and kernel < _DMA_BUF_KERNEL:
        return f"Linux {gpu.node.kernel} has no DMA-BUF for RDMA"
    if kernel is None:
        return None
    return "" if driver.modules == "open" or _is_open_by_default(gpu) else None


def _is_open_by_default(gpu: GpuNode) -> bool:
    """Whether `auto` selects the open modules on this node."""
    known = gpu.node.labels.get("nvidia.com/gpu.family", "") not in ("", "undefined")
    return known and gpu.driver_branch is not None and gpu.driver_branch >= _OPEN_BRANCH


def _parse_kernel(version: str) -> tuple[int, int] | None:
    major, _, rest = version.partition(".")
    minor = rest.partition(".")[0].partition("-")[0]
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else None
