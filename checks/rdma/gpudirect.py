"""Whether RDMA devices and GPUs work together, as far as a cluster tells."""

from collections.abc import Iterator

from dynocheck import Finding, Skip, Subject, check, warn
from dynocheck.checks.rdma.nodes import CLAIMED, count_rdma_devices
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
_OPEN_BRANCH = 560  # from here on the open kernel modules are the default
_DMA_BUF_KERNEL = (5, 12)
_ON_THE_NODE = "on the node, modinfo -F license nvidia says MIT of open ones, and lsmod lists nvidia_peermem"
_SLOW = "transfers go through the host's memory"


@check("rdma.gpudirect", title="RDMA devices can reach GPU memory directly")
def gpudirect(
    operator: OperatorResources, policies: NicPolicies, nodes: Nodes, slices: ResourceSlices
) -> Iterator[Finding]:
    """Without GPUDirect RDMA every transfer is copied through the host's memory first.

    It comes by DMA-BUF, with the driver's open kernel modules, Linux 5.12 or newer and GPUs from Turing on,
    or by the older module nvidia-peermem, which the GPU Operator loads when `driver.rdma.enabled` is set.
    This is judged where the operator installs the driver. Of a driver that comes with the machine, as on
    managed clouds, only the node tells; EFA and GKE have ways of their own.

    Fix: set driver.kernelModuleType to open, or driver.rdma.enabled to true, in the ClusterPolicy.
    """
    devices = count_rdma_devices(nodes, policies, slices)
    judged = [gpu for gpu in list_gpu_nodes(nodes, slices) if _uses_mlx(devices[gpu.name])]
    if not judged:
        raise Skip("no GPU node offers RDMA devices that need DMA-BUF or nvidia-peermem")
    active = _find_active(operator)
    if not active:
        raise Skip(f"the GPU Operator does not install the driver: {_ON_THE_NODE}")
    found = [finding for resource, driver in active for finding in _check_driver(resource, driver, judged)]
    yield from (finding for finding in found if finding is not None)
    if all(finding is None for finding in found) and found:
        raise Skip(f"labels do not tell which kernel modules run: {_ON_THE_NODE}")


def _uses_mlx(devices: dict[str, int]) -> bool:
    """Whether some of a node's devices are of the driver mlx5; what only a NIC policy names, is."""
    rows = [rdma_resource(name) for name, whole in devices.items() if whole and name != CLAIMED]
    return any(row is None or row.mlx for row in rows)


def _find_active(operator: OperatorResources) -> list[tuple[OperatorResource, DriverSettings]]:
    """What is in force: a ClusterPolicy, or the NVIDIADriver objects that it leaves the driver to."""
    told = [(each, each.driver) for each in operator if each.driver and each.state != "ignored"]
    policies = [driver for each, driver in told if each.kind == "ClusterPolicy"]
    if not all(driver.installs for driver in policies):
        return []
    kind = "NVIDIADriver" if any(driver.elsewhere for driver in policies) else "ClusterPolicy"
    return [(each, driver) for each, driver in told if each.kind == kind]


def _check_driver(
    resource: OperatorResource, driver: DriverSettings, nodes: list[GpuNode]
) -> Iterator[Finding | None]:
    """A finding for what stands in the way, None for a node that does not tell."""
    if driver.peermem:
        return
    if driver.modules == "proprietary":
        yield warn(
            f"proprietary kernel modules without nvidia-peermem: {_SLOW}",
            fix=_suggest_patch(resource, '"kernelModuleType":"open"'),
            subject=Subject(resource.kind, resource.name),
        )
        return
    for node in nodes:
        told = _explain_hindrance(node, driver)
        if told is None:
            yield None
        elif told:
            yield warn(
                f"{told}, and nvidia-peermem is not loaded: {_SLOW}",
                fix=_suggest_patch(resource, '"rdma":{"enabled":true}'),
                subject=Subject("Node", node.name),
            )


def _suggest_patch(resource: OperatorResource, field: str) -> str:
    spec = f'"driver":{{{field}}}' if resource.kind == "ClusterPolicy" else field
    what = f"{resource.kind.lower()}.nvidia.com {resource.name}"
    return f"kubectl patch {what} --type merge -p '{{\"spec\":{{{spec}}}}}'"


def _explain_hindrance(gpu: GpuNode, driver: DriverSettings) -> str | None:
    """What keeps a node from DMA-BUF, an empty text when nothing does, None when it cannot be told."""
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
    """Whether `auto` means the open modules here: by the driver's branch, on GPUs that have them."""
    known = gpu.node.labels.get("nvidia.com/gpu.family", "") not in ("", "undefined")
    return known and gpu.driver_branch is not None and gpu.driver_branch >= _OPEN_BRANCH


def _parse_kernel(version: str) -> tuple[int, int] | None:
    major, _, rest = version.partition(".")
    minor = rest.partition(".")[0].partition("-")[0]
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else None
