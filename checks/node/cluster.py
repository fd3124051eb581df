"""The GPU nodes of a cluster, beside each other."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from dynocheck import Skip, Subject, check, fail, judged, unknown, warn
from dynocheck.core.outcomes import Result
from dynocheck.facts import NodeReport, NodeReports

_LISTED = 10  # nodes in a message
_FEW = 3  # nodes, below which none of them is the odd one


@check("node.reached", title="The GPU nodes could be looked at")
def reached(reports: NodeReports) -> Iterator[Result]:
    """What is said of the GPU nodes holds for those on which a pod could look. A node whose pod does not
    start is one that an engine may not start on either.

    Fix: kubectl describe node NODE, and mend what keeps the pod from running
    """
    if not reports:
        raise Skip("no node has the labels of --node-selector")
    for report in reports:
        subject = Subject("Node", report.name)
        if report.unseen is not None:
            yield unknown(f"{report.name}: {report.unseen}", fix=report.fix, subject=subject)
        elif not report.gpus.devices:
            yield fail(
                f"{report.name}: {report.gpus.absent}", fix="reboot it, or load its driver", subject=subject
            )
    yield judged(len(reports.seen), "nodes")


def _count_rates(report: NodeReport) -> str:
    rates = Counter(port.rate for port in report.rdma.ports if port.state == "ACTIVE")
    return ", ".join(f"{count} x {rate}" for rate, count in sorted(rates.items())) or "none"


_TRAITS: Mapping[str, Callable[[NodeReport], object]] = {
    "GPUs": lambda report: len(report.gpus.devices),
    "driver": lambda report: report.gpus.driver,
    "firmware": lambda report: ", ".join(sorted({gpu.firmware for gpu in report.gpus.usable})),
    "MIG GPUs": lambda report: sum(gpu.mig is True for gpu in report.gpus.devices),
    "RDMA links": _count_rates,
    "MTUs of RDMA links": lambda report: ", ".join(sorted({str(port.mtu) for port in report.rdma.ports})),
    "kernel": lambda report: report.rdma.kernel,
}


def _list_traits(report: NodeReport) -> dict[str, str]:
    """What nodes of one kind have in common: firmware of network cards of one model, and versions of engines
    and libraries, which differ where an image of one tag is cached in several states.
    """
    traits = {trait: str(read(report)) for trait, read in _TRAITS.items()}
    for board in {port.board for port in report.rdma.ports if port.board and port.firmware}:
        versions = {port.firmware for port in report.rdma.ports if port.board == board}
        traits[f"firmware of {board}"] = ", ".join(sorted(versions))
    packages = {package.name: package.version for package in report.packages.items}
    return {**traits, **packages, **report.packages.libraries}


@check("node.alike", title="GPU nodes of one kind are alike")
def alike(reports: NodeReports) -> Iterator[Result]:
    """The ranks of an engine that spans nodes wait for the slowest one, and an engine runs on whichever node
    has room. One node with another driver, firmware or engine, fewer GPUs or slower links than those of its
    kind is found late. Engines and libraries are those of the image that looked.

    Fix: bring the odd node to the state of the others, or keep it out with a label
    """
    kinds: dict[str, list[NodeReport]] = {}
    for report in reports.seen:
        if report.gpus.usable:
            kinds.setdefault(report.gpus.usable[0].name, []).append(report)
    several = {kind: nodes for kind, nodes in kinds.items() if len(nodes) > 1}
    if not several:
        raise Skip("no two nodes that were looked at have the same GPUs")
    for kind, nodes in several.items():
        told = {node.name: _list_traits(node) for node in nodes}
        for trait in dict.fromkeys(trait for traits in told.values() for trait in traits):
            values = {node: traits[trait] for node, traits in told.items() if trait in traits}
            yield from _find_odd(kind, trait, values)


def _find_odd(kind: str, trait: str, values: Mapping[str, str]) -> Iterator[Result]:
    """A warning for each node that differs from most; one for all where there is no majority."""
    (usual, count), *others = Counter(values.values()).most_common()
    if not others:
        return
    if len(values) < _FEW or count * 2 <= len(values):
        listed = "; ".join(f"{node} {value}" for node, value in list(values.items())[:_LISTED])
        more = f"; and {len(values) - _LISTED} more nodes" if len(values) > _LISTED else ""
        yield warn(
            f"{kind}: nodes differ in {trait}: {listed}{more}",
            evidence={"trait": trait, "values": dict(values)},
        )
        return
    for node, value in values.items():
        if value != usual:
            yield warn(
                f"{node}: {trait} {value}; {count} of {len(values)} nodes with {kind} have {usual}",
                evidence={"trait": trait, "value": value, "usual": usual},
                subject=Subject("Node", node),
            )
