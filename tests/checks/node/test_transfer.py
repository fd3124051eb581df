"""`--transfer`: what programs wrote about transfers, and how that is judged.

None of them was run with a GPU or over RDMA here: small scripts stand in for them, which write what the
programs write by NVIDIA/nccl-tests#294, openucx/ucx#10950, ai-dynamo/nixl#1695 and linux-rdma/perftest.
"""

import json
import os
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from dynocheck.checks.node.transfer import transfer, transfers
from dynocheck.core.cancellation import Interruption
from dynocheck.facts import (
    MeasuredTransfer,
    NodeGpu,
    NodeGpus,
    NodeRdma,
    NodeRoot,
    NodeTransfer,
    RdmaPort,
    TransferRequest,
)
from dynocheck.probes.node.transfer import node_transfer
from tests.checks import judging
from tests.checks.node.machines import port, write_tree
from tests.command import run_inside, usage_error

NCCL_ROW = "   268435456  67108864  float  sum  -1  951.4  282.16  {bus}  0  950.2  282.51  {bus}  0"
NCCL_END = "# Out of bounds values : {wrong}\n# Avg bus bandwidth    : {bus} \n#"
CHANNEL = "gpu-1:71:98 [{rank}] NCCL INFO Channel 0{rank}/0 : {rank}[{rank}] -> 0[0] [send] via {via}"
UCX = "[1757996767.75] [gpu-1:50:0]   | {} | {} |"
NIXL = """Block Size (B)      Batch Size     B/W (GB/Sec)   Avg Lat. (us)  Avg Prep (us)  P99 Prep (us)
----------------------------------------------------------------------------------------------
67108864            1              {}      1429.2         13.0           14.0
"""
PERFTEST = """ #bytes     #iterations    BW peak[Gb/sec]    BW average[Gb/sec]   MsgRate[Mpps]
 65536      2124000         0.00               {}              0.708107
"""
H100 = NodeGpus(tuple(NodeGpu(index=i, name="NVIDIA H100 80GB HBM3", links=(True,) * 18) for i in range(8)))
NDR = RdmaPort("mlx5_0", 1, "ACTIVE", "LinkUp", "400 Gb/sec (4X NDR)", "InfiniBand", 3)
SLOW = RdmaPort("mlx5_9", 1, "ACTIVE", "LinkUp", "25 Gb/sec (1X EDR)", "Ethernet")
EFA = RdmaPort("efa_0", 1, "ACTIVE", "LinkUp", "200 Gb/sec (4X HDR)", "Unspecified", driver="efa")


def write_nccl(*vias: str, bus: float = 478.2, wrong: str = "0 OK") -> str:
    lines = [CHANNEL.format(rank=rank, via=via) for rank, via in enumerate(vias)]
    return "\n".join([*lines, NCCL_ROW.format(bus=bus), NCCL_END.format(bus=bus, wrong=wrong)])


def write_nixl(bandwidth: float, lane: str) -> str:
    header = UCX.format(
        "nixl inter-node cfg#2", "remote memory read by ucp_get*(multi) into cuda/GPU0 from cuda"
    )
    control = UCX.format("nixl inter-node cfg#2", "active message by ucp_am_send* from host memory")
    rows = (UCX.format("0", "no data fetch | tcp/eth0"), UCX.format("1..inf", f"zero-copy | {lane}"))
    sent = (control, UCX.format("0..inf", "multi-frag copy-in | tcp/eth0"))
    return "\n".join([header, *rows, *sent, NIXL.format(bandwidth)])


def measure(
    tmp_path: Path, programs: dict[str, str], request: TransferRequest, **environment: str
) -> NodeTransfer:
    """What is found with these shell scripts installed and mlx5_0 up."""
    write_tree(tmp_path / "root", port())
    (tmp_path / "bin").mkdir()
    for name, script in programs.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / name).chmod(0o700)
    return look(tmp_path, request, **environment)


def look(tmp_path: Path, request: TransferRequest, **environment: str) -> NodeTransfer:
    path = f"{tmp_path / 'bin'}:/usr/bin:/bin"
    root = NodeRoot(tmp_path / "root", {"PATH": path, "CUDA_VISIBLE_DEVICES": "0,1,2,3", **environment})
    found = node_transfer(request, root, Interruption())
    assert isinstance(found, NodeTransfer)
    return found


def echo(text: str) -> str:
    return f"/bin/cat <<'END'\n{text}\nEND"


def judge(found: NodeTransfer, *ports: RdmaPort, gpus: NodeGpus = H100) -> list[str]:
    return judging.judge(transfer, found, NodeRdma(ports or (NDR,)), gpus)


HERE, PEER = TransferRequest(5), TransferRequest(5, "192.0.2.7", 18515)


@pytest.mark.parametrize(
    ("near", "far", "found"),
    [
        (write_nccl("P2P/CUMEM", "P2P/CUMEM"), write_nccl("NET/IB/0/GDRDMA", bus=41.3), []),
        (write_nccl("P2P/IPC/read"), write_nccl("NET/AWS Libfabric/0/GDRDMA", bus=20.1), []),
        (write_nccl("P2P/CUMEM"), write_nccl("NET/Socket/0", bus=1.2), ["warn"]),
        (write_nccl("SHM/direct/direct", bus=9.8), write_nccl("NET/IBext_v8/0", bus=11), ["warn"]),
        (write_nccl("P2P/CUMEM", bus=38.0), write_nccl("NET/IB/1"), ["warn"]),
        (write_nccl("P2P/CUMEM", wrong="17 FAILED"), write_nccl("NET/IB/1"), ["fail"]),
    ],
    ids=["InfiniBand", "EFA", "fell back to TCP", "past NVLink", "slow NVLink", "wrong data"],
)
def test_the_gpus_of_one_machine(tmp_path: Path, near: str, far: str, found: list[str]) -> None:
    script = f'if [ "$NCCL_P2P_DISABLE" = 1 ]; then\n{echo(far)}\nelse\n{echo(near)}\nfi'
    seen = measure(tmp_path, {"all_reduce_perf": script}, HERE)
    assert [each.gb_s is not None for each in seen.items] == [True, True]
    assert judge(seen) == found


@pytest.mark.parametrize(
    ("output", "ports", "found"),
    [
        (write_nixl(46.9, "rc_mlx5/mlx5_0:1"), (NDR,), []),
        (write_nixl(46.9, "50% on rc_mlx5/mlx5_0:1 and 50% on rc_mlx5/mlx5_1:1"), (NDR, SLOW), []),
        (write_nixl(11.2, "rc_mlx5/mlx5_0:1"), (NDR, SLOW), ["warn"]),
        (write_nixl(1.1, "tcp/eth0"), (NDR,), ["warn"]),
        (write_nixl(340, "cuda_ipc/cuda"), (NDR,), []),
        (NIXL.format(9.6), (EFA,), ["unjudged"]),
        (NIXL.format(0.324), (EFA,), ["warn"]),
        ("the peer tells", (NDR,), ["unjudged"]),
    ],
    ids=["RDMA", "two rails", "slow", "TCP", "NVLink between nodes", "EFA", "EFA as slow as TCP", "the peer"],
)
def test_gpu_memory_of_two_machines(
    tmp_path: Path, output: str, ports: tuple[RdmaPort, ...], found: list[str]
) -> None:
    seen = measure(tmp_path, {"nixlbench": echo(output)}, PEER)
    assert judge(seen, *ports) == found


@pytest.mark.parametrize(("gbits", "found"), [(392.1, []), (180.4, ["warn"])], ids=["full", "half"])
def test_host_memory_of_two_machines(tmp_path: Path, gbits: float, found: list[str]) -> None:
    seen = measure(tmp_path, {"ib_write_bw": echo(PERFTEST.format(gbits))}, PEER)
    assert [(each.device, each.gb_s) for each in seen.items] == [("mlx5_0", round(gbits / 8, 2))]
    assert judge(seen) == found


def test_a_link_in_a_narrow_slot_is_measured_by_its_slot() -> None:
    seen = NodeTransfer((MeasuredTransfer(program="ib_write_bw", to="gpu-2", gb_s=30.9, device="mlx5_0"),))
    assert judge(seen, replace(NDR, slot_gbit_s=252)) == []


def test_a_peer_that_does_not_listen_yet_is_asked_again(tmp_path: Path) -> None:
    mark = tmp_path / "asked"
    answer = echo(PERFTEST.format(392))
    script = f"if [ -e {mark} ]; then\n{answer}\nelse\ntouch {mark}\necho Couldn\\'t connect\nexit 1\nfi"
    assert judge(measure(tmp_path, {"ib_write_bw": script}, PEER)) == []


def test_the_machine_that_is_named_listens(tmp_path: Path) -> None:
    script = f'echo "$@" > {tmp_path}/called'
    measure(tmp_path, {"ib_write_bw": script}, TransferRequest(5, "127.0.0.1", 18515))
    assert "127.0.0.1" not in (tmp_path / "called").read_text()


@pytest.mark.parametrize("program", ["all_reduce_perf", "nixlbench", "ib_write_bw"])
def test_one_that_hangs_is_ended_in_time_and_one_that_fails_is_unknown(tmp_path: Path, program: str) -> None:
    request = HERE if program == "all_reduce_perf" else PEER
    started = time.monotonic()
    seen = measure(tmp_path, {program: "/bin/sleep 60 & wait"}, replace(request, limit_s=0.5))
    assert (judge(seen), time.monotonic() - started < 5) == (["unknown"], True)
    (tmp_path / "bin" / program).write_text("#!/bin/sh\necho out of memory; exit 3")
    failed = look(tmp_path, request)
    assert judge(failed) == ["unknown"]
    assert "out of memory" in str(failed.items[0].fault)


@pytest.mark.parametrize("request_", [HERE, PEER], ids=["here", "peer"])
def test_without_the_programs_it_is_skipped(tmp_path: Path, request_: TransferRequest) -> None:
    assert judge(measure(tmp_path, {}, request_)) == ["skip"]


def test_one_gpu_has_nothing_to_move_to(tmp_path: Path) -> None:
    seen = measure(tmp_path, {"all_reduce_perf": "exit 1"}, HERE, CUDA_VISIBLE_DEVICES="0")
    assert judge(seen) == ["skip"]


def test_the_command_tells_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nixlbench"
    program.write_text(f"#!/bin/sh\n{echo(write_nixl(46.9, 'rc_mlx5/mlx5_0:1'))}")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    arguments = ("--select", "node.transfer*", "-o", "json")
    ended = run_inside("node", "--transfer", "192.0.2.7:12345", *arguments)
    assert "46.9" in json.dumps(ended.report["tables"])
    left_out = run_inside("node", *arguments)
    assert [verdict["outcome"] for verdict in left_out.report["verdicts"]] == ["skip"]


@pytest.mark.parametrize("arguments", [("--cluster",), ("--snapshot=node.json",)])
def test_it_is_for_this_machine_only(arguments: tuple[str, ...]) -> None:
    assert "--transfer" in usage_error("node", "--transfer", *arguments)


@pytest.mark.parametrize("place", [":80", "host:99999"])
def test_an_address_of_another_form_is_a_usage_error(place: str) -> None:
    assert "HOST[:PORT]" in usage_error("node", f"--transfer={place}")


def test_the_table_leaves_out_what_was_not_measured() -> None:
    failed = MeasuredTransfer(program="nixlbench", to="gpu-2", fault="it was not done in time")
    assert list(transfers(NodeTransfer((failed,)))) == []
