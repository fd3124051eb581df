"""Transfers between GPUs or machines, measured by programs that are installed for it."""

import os
import re
import shutil
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from dynocheck.core.cancellation import Interruption
from dynocheck.core.declarations import probe
from dynocheck.facts import MeasuredTransfer, NodeRoot, NodeTransfer, TransferRequest
from dynocheck.probes.node._nvml import open_nvml
from dynocheck.probes.node._process import run_bounded
from dynocheck.probes.node._sysfs import read

_FOLDERS = ("/opt/nccl-tests/build", "/usr/local/nixlbench/bin", "/workspace/nixlbench/build")
_MARGIN_S = 5.0
_LOCAL, _NETWORK = "GPUs of this machine", "GPUs of this machine, by its network"
_PAUSE_S = 1.0  # before a machine whose peer does not listen yet tries again
_PERFTEST_S = "3"
# NCCL takes the network between the GPUs of one machine when nothing nearer is left.
_BY_NETWORK = {"NCCL_P2P_DISABLE": "1", "NCCL_SHM_DISABLE": "1", "NCCL_NET_DISABLE_INTRA": "0"}
_TOLD = {"NCCL_DEBUG": "INFO"}
_NCCL = ("-b", "256M", "-e", "256M", "-g")
_NIXL = (
    *("--initiator_seg_type", "VRAM", "--target_seg_type", "VRAM", "--op_type", "READ"),
    *("--start_block_size", "67108864", "--max_block_size", "67108864"),
    *("--total_buffer_size", "1073741824"),
)
_VIA = re.compile(r" via (NET/[^/\n]{1,40}/\d{1,3}\S{0,60}|P2P\S{0,40}|SHM\S{0,40})")
_BUS = re.compile(r"# Avg bus bandwidth\s{0,8}: (\d[\d.]{0,20})")
_WRONG = re.compile(r"# Out of bounds values : (\d{1,20}) ")
_LANES = re.compile(r"\.\.inf \|[^|\n]{1,120}\|([^|\n]{1,200})\|")
_LANE = re.compile(r"[a-z_][\w]{1,20}/[\w:.-]{1,40}")
_NUMBER = re.compile(r"\d{1,12}(?:\.\d{1,12})?")
_PUT_OR_GET = ("by ucp_put", "by ucp_get")
_REFUSED = "onnect"  # connect, Connection refused
_LAST = 200  # characters of what a program said last


@probe(limit=lambda request, root, interruption: request.limit_s + _MARGIN_S)
def node_transfer(request: TransferRequest, root: NodeRoot, interruption: Interruption) -> NodeTransfer:
    runner = _Runner(root, interruption, time.monotonic() + request.limit_s)
    if request.peer is None:
        return _measure_here(runner)
    if program := runner.find("nixlbench"):
        return NodeTransfer((_measure_nixl(runner, program, request.peer, request.port),))
    if program := runner.find("ib_write_bw"):
        return _measure_links(runner, program, request.peer, request.port)
    return NodeTransfer(absent="neither nixlbench nor ib_write_bw is installed beside dynocheck")


class _Runner:
    """Runs the programs of one measurement, all until the same end."""

    def __init__(self, root: NodeRoot, interruption: Interruption, end: float) -> None:
        self.root = root
        self._interruption, self._end = interruption, end

    def find(self, program: str) -> str | None:
        """The path of an installed program."""
        folders = [self.root.environment.get("PATH", os.defpath), *_FOLDERS]
        return shutil.which(program, path=os.pathsep.join(folders))

    def run(
        self, command: Sequence[str], variables: Mapping[str, str] | None = None, *, again: bool = False
    ) -> tuple[str, str | None]:
        """What a program wrote, and how it failed.

        :param again: start it again while its peer does not listen yet.
        """
        environment = {**self.root.environment, **(variables or {})}
        while True:
            left = max(self._end - time.monotonic(), 0.1)
            output, fault = run_bounded(command, left, self._interruption, environment, errors=True)
            text = output.decode(errors="replace")
            if not (again and fault and _REFUSED in text and left > 2 * _PAUSE_S):
                return text, fault and _describe(fault, text)
            time.sleep(_PAUSE_S)


def _describe(fault: str, text: str) -> str:
    last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
    return f"{fault}: {last[:_LAST]}" if last else fault


def _measure_here(runner: _Runner) -> NodeTransfer:
    """All GPUs that this process may use, as NCCL joins them, then by the network where that has RDMA."""
    program = runner.find("all_reduce_perf")
    if program is None:
        return NodeTransfer(absent="all_reduce_perf of NCCL's tests is not installed beside dynocheck")
    count = _count_gpus(runner.root)
    if count < 2:
        return NodeTransfer(absent="fewer than 2 GPUs here: name another machine")
    command = [program, *_NCCL, str(count)]
    output, fault = runner.run(command, _TOLD)
    found = [read_nccl(output, _LOCAL, fault)]
    states = (read(path) for path in runner.root.path.glob("sys/class/infiniband/*/ports/*/state"))
    if fault is None and any("ACTIVE" in state for state in states):
        output, fault = runner.run(command, {**_TOLD, **_BY_NETWORK})
        found.append(read_nccl(output, _NETWORK, fault))
    return NodeTransfer(tuple(found))


def _count_gpus(root: NodeRoot) -> int:
    if visible := root.environment.get("CUDA_VISIBLE_DEVICES"):
        return len(visible.split(","))
    with open_nvml() as nvml:
        return len([*nvml.list_handles()]) if nvml else 0


def read_nccl(output: str, to: str, fault: str | None = None) -> MeasuredTransfer:
    """What a program of NCCL's tests wrote, with NCCL_DEBUG=INFO."""
    bandwidth, wrong = _BUS.search(output), _WRONG.search(output)
    return MeasuredTransfer(
        program="all_reduce_perf",
        to=to,
        gb_s=float(bandwidth[1]) if bandwidth else None,
        by=tuple(sorted(set(_VIA.findall(output)))),
        wrong=bool(wrong and int(wrong[1])),
        fault=None if wrong and int(wrong[1]) else fault,
    )


def _measure_nixl(runner: _Runner, program: str, peer: str, port: int) -> MeasuredTransfer:
    """GPU memory of both machines, by the backend of NIXL for their network."""
    drivers = runner.root.path.glob("sys/class/infiniband/*/device/driver")
    backend = "LIBFABRIC" if any(path.resolve().name == "efa" for path in drivers) else "UCX"
    place = ["--runtime_type", "ASIO", "--asio_address", peer, "--asio_port", str(port)]
    command = [program, *place, "--backend", backend, *_NIXL]
    output, fault = runner.run(command, {"UCX_PROTO_INFO": "y"}, again=not _is_own(peer))
    return read_nixlbench(output, peer, fault)


def read_nixlbench(output: str, to: str, fault: str | None = None) -> MeasuredTransfer:
    """What nixlbench wrote, with UCX_PROTO_INFO=y."""
    return MeasuredTransfer(
        program="nixlbench",
        to=to,
        gb_s=max(_list_column(output, "B/W (GB/Sec)"), default=None),
        by=tuple(sorted(set(_list_lanes(output)))),
        fault=fault,
    )


def _list_column(output: str, title: str) -> Iterator[float]:
    """The numbers of a column of nixlbench's table, whose titles stand two or more blanks apart."""
    place = None
    for line in output.splitlines():
        titles = re.split(r" {2,}", line.strip()) if title in line else ()
        if titles:
            place = titles.index(title) if title in titles else None
        elif place is not None and len(words := line.split()) > place and words[0].isdigit():
            with suppress(ValueError):
                yield float(words[place])


def _list_lanes(output: str) -> Iterator[str]:
    """The lanes that UCX took for the largest messages of ucp_put and ucp_get."""
    within = False
    for line in output.splitlines():
        if "by ucp_" in line:
            within = any(word in line for word in _PUT_OR_GET)
        elif within and (lanes := _LANES.search(line)):
            yield from _LANE.findall(lanes[1])


def _measure_links(runner: _Runner, program: str, peer: str, port: int) -> NodeTransfer:
    """Host memory of both machines by each RDMA device in turn, which both must have under the same name."""
    states = sorted(runner.root.path.glob("sys/class/infiniband/*/ports/1/state"))
    devices = [path.parts[-4] for path in states if "ACTIVE" in read(path)]
    if not devices:
        return NodeTransfer(absent="nixlbench is not installed, and no RDMA port is up for ib_write_bw")
    other = [] if _is_own(peer) else [peer]
    found = []
    for number, device in enumerate(devices):
        options = ["-F", "--report_gbits", "-D", _PERFTEST_S, "-d", device, "-p", str(port + number)]
        output, fault = runner.run([program, *options, *other], again=bool(other))
        found.append(read_perftest(output, peer, device, fault))
        if fault:
            break
    return NodeTransfer(tuple(found))


def read_perftest(output: str, to: str, device: str, fault: str | None = None) -> MeasuredTransfer:
    """What ib_write_bw wrote, with --report_gbits."""
    rows = [line.split() for line in output.partition("BW average[Gb/sec]")[2].splitlines()]
    gbits = [float(row[3]) for row in rows if len(row) > 3 and _NUMBER.fullmatch(row[3])]
    return MeasuredTransfer(
        program="ib_write_bw",
        to=to,
        gb_s=round(max(gbits) / 8, 2) if gbits else None,
        device=device,
        fault=fault,
    )


def _is_own(address: str) -> bool:
    """Whether this machine has the address, so that it is the one that listens."""
    try:
        family, kind, _, _, place = socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as end:
            end.bind(place)
    except OSError:
        return False
    return True
