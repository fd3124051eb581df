"""The one answer on disaggregation: RDMA, host memory or TCP."""

from collections import Counter
from collections.abc import Iterator

from dynocheck import Finding, Row, Skip, check, table, unjudged, warn
from dynocheck.checks.node.rdma import DMA_BUF_KERNEL, EFA, RDMA_TRANSPORTS, parse_kernel, split_transports
from dynocheck.core.explanations import Relation
from dynocheck.core.outcomes import Result
from dynocheck.facts import NodeEnvironment, NodeFabric, NodeGpus, NodeHost, NodePackages, NodeRdma

_BECAUSE = "because"
_TCP = "KV cache moves to other nodes by TCP"
_TOLD_ELSEWHERE = ("rdma-link", "rdma-in-container", "memlock", "gpudirect")
_OVER_EFA = "LIBFABRIC"  # the backend of NIXL that uses EFA


def _follows(reason: str) -> Relation:
    """Whether a finding of this check follows from one of the check that tells the reason."""

    def is_reason(_: Finding, effect: Finding) -> bool:
        return effect.evidence.get(_BECAUSE) == reason

    return is_reason


@check(
    "node.interconnect",
    title="KV cache moves to other nodes by RDMA",
    explained_by={
        f"node.{topic}": _follows(topic)
        for topic in ("rdma-link", "rdma-in-container", "memlock", "gpudirect")
    },
)
def interconnect(
    rdma: NodeRdma, gpus: NodeGpus, host: NodeHost, environment: NodeEnvironment, packages: NodePackages
) -> Iterator[Result]:
    """A disaggregated worker whose transport falls back to TCP still answers, but the first token waits
    seconds for the KV cache, where RDMA takes milliseconds. This is what links, devices, limits, variables
    and NIXL's backends say together; no transfer is measured.

    Fix: mend what is named, and look in the worker's log for the transports that UCX or libfabric took
    """
    ports = [port for port in rdma.ports if not port.physical.endswith("Disabled")]
    if not gpus.usable or not ports:
        raise Skip("no GPU here" if not gpus.usable else f"no RDMA port in use here: {_TCP}")
    if reason := _find_fallback(rdma, host, environment, packages):
        because, message = reason
        yield warn(f"{_TCP}: {message}", fix=_FIX, evidence={_BECAUSE: because})
    elif not _has_gpudirect(rdma) and any(port.driver != EFA for port in ports):
        message = "KV cache moves through host memory: RDMA cannot reach GPU memory"
        yield warn(message, fix=_FIX, evidence={_BECAUSE: "gpudirect"})
    if any(port.driver != EFA for port in ports):
        if packages.ucx and "cuda" not in packages.ucx:
            yield warn("UCX cannot reach GPU memory: no libuct_cuda is installed", fix=_UCX)
        return
    if not packages.backends:
        yield unjudged(
            "EFA", why="which backend of NIXL the engine uses is not seen", needs="a run in its pod"
        )
    elif _OVER_EFA not in packages.backends:
        yield warn(f"{_TCP}: NIXL has no backend {_OVER_EFA} for EFA", fix="install NIXL with libfabric")


_FIX = "mend what is named, and look in the worker's log for the transports that UCX took"
_UCX = "pip install nixl, whose UCX has the modules, or build UCX with verbs and CUDA"


def _find_fallback(
    rdma: NodeRdma, host: NodeHost, environment: NodeEnvironment, packages: NodePackages
) -> tuple[str, str] | None:
    """Why a transfer takes TCP: the topic of the check that tells more, and the reason.

    :raises Skip: this container was given no RDMA device, and nothing asks for one.
    """
    listed = split_transports(environment)
    wanted = listed & RDMA_TRANSPORTS
    over_ucx = any(port.driver != EFA for port in rdma.ports)
    if listed and not wanted and "all" not in listed and over_ucx:
        return "transport-env", f"UCX_TLS={environment.items['UCX_TLS']} names no RDMA transport"
    if not rdma.verbs:
        if host.container and not wanted:
            raise Skip(f"this container has no RDMA device: {_TCP}")
        return "rdma-in-container", "/dev/infiniband has no device"
    if not any(port.state == "ACTIVE" for port in rdma.ports):
        return "rdma-link", "no RDMA link is up"
    if over_ucx and packages.ucx and "ib" not in packages.ucx:
        return "ucx", "UCX has no module for RDMA: no libuct_ib is installed"
    if host.memlock is not None and not host.ipc_lock:
        return "memlock", "memory cannot be locked"
    return None


def _has_gpudirect(rdma: NodeRdma) -> bool:
    """Whether RDMA reaches GPU memory, as far as can be seen."""
    return rdma.peermem or (rdma.open_modules is not False and parse_kernel(rdma) >= DMA_BUF_KERNEL)


@table("node.paths", title="How data moves", note="to: where the data of a GPU goes")
def paths(rdma: NodeRdma, gpus: NodeGpus, fabric: NodeFabric, packages: NodePackages) -> Iterator[Row]:
    """A row a way."""
    if not gpus.usable:
        return
    links = sum(sum(gpu.links) for gpu in gpus.usable)
    yield {"to": "GPUs of this machine", "by": f"{links} NVLinks" if links else "PCIe"}
    if fabric.imex_channels:
        yield {"to": "GPUs of its NVLink domain", "by": f"NVLink, {', '.join(fabric.imex_channels)}"}
    rates = Counter(port.rate for port in rdma.ports if port.state == "ACTIVE" and rdma.verbs)
    shown = ", ".join(f"{count} x {rate}" for rate, count in sorted(rates.items()))
    reached = "nvidia_peermem" if rdma.peermem else "dma-buf" if _has_gpudirect(rdma) else "host memory"
    more = ", GDRCopy" if rdma.gdrcopy else ""
    yield {"to": "other machines", "by": f"RDMA: {shown}, by {reached}{more}" if shown else "TCP"}
    if packages.backends:
        yield {"to": "workers, by NIXL", "by": ", ".join(packages.backends)}
