"""Transfers that were measured."""

from collections.abc import Iterator

from dynocheck import Finding, Row, Skip, Subject, check, fail, judged, table, unjudged, unknown, warn
from dynocheck.checks.node.rdma import EFA, RDMA_TRANSPORTS
from dynocheck.core.outcomes import Result
from dynocheck.data.gpu_speeds import find_speeds
from dynocheck.facts import MeasuredTransfer, NodeGpus, NodeRdma, NodeTransfer

# Shares of a link's rate. ib_write_bw: Azure's health checks take 0.95 on ND H100 v5 and 0.9 on ND A100 v4,
# https://github.com/Azure/azurehpc-health-checks, and Dynamo's page on disaggregated communication, 0.8.
# nixlbench: the least that this page gives for GPU memory over InfiniBand and RoCE is about half.
_LINK_SHARE = {"ib_write_bw": 0.8, "nixlbench": 0.5}
_SOURCE = "https://docs.nvidia.com/dynamo/latest/kubernetes-deployment/deployment-guide/disagg-communication"
_TCP_GB_S = 1.0  # below which the same page tells TCP, of whatever network
_FIX = "look at node.interconnect, node.rdma-link and node.gpudirect, here and on the peer"


@check("node.transfer", title="Measured transfers run by RDMA at the speed of the link")
def transfer(seen: NodeTransfer, rdma: NodeRdma, gpus: NodeGpus) -> Iterator[Result]:
    """What is set up for RDMA may still fall back to TCP, or be slow. With --transfer NCCL's all_reduce_perf
    moves data among the GPUs of this machine, as near as they are and by its network; with --transfer HOST,
    which runs on both machines, nixlbench moves GPU memory between them, or ib_write_bw host memory.
    Nothing is installed for it.

    Fix: look at what node.interconnect, node.rdma-link and node.gpudirect find, on both machines
    """
    if seen.absent:
        raise Skip(seen.absent)
    for each in seen.items:
        yield from _judge(each, rdma, gpus)
    yield judged(sum(each.gb_s is not None for each in seen.items), "transfers")


def _judge(each: MeasuredTransfer, rdma: NodeRdma, gpus: NodeGpus) -> Iterator[Finding | Result]:
    name = f"{each.program} to {each.to}" + (f" by {each.device}" if each.device else "")
    subject = Subject("Transfer", name)
    if each.wrong:
        yield fail(f"{name}: other data arrived than was sent", fix=_FIX, subject=subject)
    elif each.fault:
        yield unknown(f"{name}: {each.fault}", subject=subject)
    elif each.gb_s is None:
        yield unjudged(name, why="it told no bandwidth", needs="the report of the peer", subject=subject)
    elif _is_tcp(each):
        message = f"{name}: {each.gb_s:g} GB/s by TCP: {', '.join(each.by)}"
        yield warn(message, fix=_FIX, subject=subject)
    elif each.program == "all_reduce_perf" and not any(by.startswith("NET") for by in each.by):
        yield from _judge_near(each, gpus, subject)
    elif each.program in _LINK_SHARE:
        yield from _judge_link(each, rdma, subject)


def _is_tcp(each: MeasuredTransfer) -> bool:
    """Whether a network was taken without RDMA."""
    lanes = {by.partition("/")[0] for by in each.by}
    return any(by.startswith("NET/Socket") for by in each.by) or (
        "tcp" in lanes and not lanes & {*RDMA_TRANSPORTS, "srd", "cuda_ipc"}
    )


def _judge_near(each: MeasuredTransfer, gpus: NodeGpus, subject: Subject) -> Iterator[Finding]:
    """Whether GPUs that have NVLink use it."""
    if not gpus.usable or not all(any(gpu.links) for gpu in gpus.usable):
        return
    speeds = find_speeds(gpus.usable[0].name)
    floor = speeds and speeds.peer_gb_s
    shared = any(by.startswith("SHM") for by in each.by)
    if each.gb_s is not None and floor and (shared or each.gb_s < floor):
        yield warn(
            f"{subject.name}: {each.gb_s:g} GB/s"
            + (", by shared memory and not by NVLink" if shared else f"; these have at least {floor:g}"),
            fix="look at node.nvlink and node.fabric; unset NCCL_P2P_DISABLE",
            subject=subject,
            evidence={"by": list(each.by), "floor": floor},
        )


def _judge_link(each: MeasuredTransfer, rdma: NodeRdma, subject: Subject) -> Iterator[Finding | Result]:
    """A transfer to another machine against the link that it took, or against the slowest that is up."""
    named = {each.device} - {""} or {by.partition("/")[2].partition(":")[0] for by in each.by}
    up = [port for port in rdma.ports if port.state == "ACTIVE" and port.driver != EFA]
    rates = [
        min(float(rate), port.slot_gbit_s or float(rate)) / 8
        for port in [port for port in up if port.device in named] or up
        if (rate := port.rate.partition(" ")[0]).isdigit()
    ]
    floor = min(rates) * _LINK_SHARE[each.program] if rates else _TCP_GB_S
    if each.gb_s is not None and each.gb_s < floor:
        yield warn(
            f"{subject.name}: {each.gb_s:g} GB/s; its link should carry at least {floor:g}",
            fix=_FIX,
            subject=subject,
            evidence={"by": list(each.by), "floor": floor, "source": _SOURCE},
        )
    elif not rates:
        yield unjudged(subject.name, why="no floor is known for this network", subject=subject)


@table("node.transfers", title="Measured transfers")
def transfers(seen: NodeTransfer) -> Iterator[Row]:
    """A row a transfer."""
    for each in seen.items:
        if each.gb_s is not None:
            yield {"to": each.to, "with": each.program, "GB/s": each.gb_s, "by": ", ".join(each.by)}
