"""NVSwitches and what manages them."""

from dynocheck.core.declarations import probe
from dynocheck.facts import NodeFabric, NodeRoot
from dynocheck.probes.node._sysfs import list_switches, read

_MANAGER = "nv-fabricmanage"  # of nv-fabricmanager, as the kernel cuts it


@probe()
def node_fabric(root: NodeRoot) -> NodeFabric:
    switches = len(list_switches(root.path))
    processes = root.path.glob("proc/[0-9]*/comm") if switches else ()
    channels = root.path.glob("dev/nvidia-caps-imex-channels/channel*")
    return NodeFabric(
        switches=switches,
        manager=any(read(path) == _MANAGER for path in processes),
        imex_channels=tuple(sorted(path.name for path in channels)),
    )
