"""Whether workers ask for the network that they need, and are left to use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.network import transport as network
from tests.checks.judging import get_skip_reason, list_messages, recipes, run_check
from tests.checks.manifests import dump_objects, engine, graph

RDMA = {"rdma/ib": "8"}
NODE = "kubernetes.io/hostname"
LOCK = {"securityContext": {"capabilities": {"add": ["IPC_LOCK"]}}}


def outcomes(check: Any, folder: Path, *components: dict[str, Any]) -> list[str]:
    given = recipes(folder, deploy=dump_objects(graph(*components)))
    return [outcome for outcome, _ in list_messages(check, given)]


def pair(gpus: int = 8, **more: Any) -> list[dict[str, Any]]:
    return [engine(name=part, role=part, gpus=gpus, **more) for part in ("prefill", "decode")]


def spanning(**more: Any) -> dict[str, Any]:
    return engine(gpus=8, multinode={"nodeCount": 2}, **more)


# network.rdma-requested


@pytest.mark.parametrize(
    ("components", "expected"),
    [
        ([spanning()], ["warn"]),
        ([spanning(limits=RDMA)], []),
        ([spanning(limits={"vpc.amazonaws.com/efa": "16"})], []),
        ([spanning(limits={"example.com/our-nics": "8"})], []),
        ([spanning(pod={"hostNetwork": True})], []),
        ([spanning(main={"securityContext": {"privileged": True}})], []),
        ([spanning(pod={"volumes": [{"name": "i", "hostPath": {"path": "/dev/infiniband"}}]})], []),
        ([spanning(pod={"resourceClaims": [{"name": "compute-domain-channel"}]})], []),
        (pair(), ["warn", "warn"]),
        (pair(limits=RDMA), []),
        (pair(pod={"nodeSelector": {NODE: "n"}}), None),
        (pair(gpus=4), None),
        ([engine(gpus=8, replicas=4)], None),
    ],
)
def test_rdma_requested(tmp_path: Path, components: list[dict[str, Any]], expected: list[str] | None) -> None:
    given = recipes(tmp_path, deploy=dump_objects(graph(*components)))
    if expected is None:
        assert "no worker of a recipe" in get_skip_reason(network.rdma_requested, given)
    else:
        assert [outcome for outcome, _ in list_messages(network.rdma_requested, given)] == expected


def test_workers_that_must_share_a_node_need_none(tmp_path: Path) -> None:
    near = {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": NODE, "labelSelector": {}}]}
    together = pair(pod={"affinity": {"podAffinity": near}})
    given = recipes(tmp_path, deploy=dump_objects(graph(*together)))
    assert "no worker of a recipe" in get_skip_reason(network.rdma_requested, given)


def test_the_reason_is_told(tmp_path: Path) -> None:
    first, _ = run_check(network.rdma_requested, recipes(tmp_path, deploy=dump_objects(graph(*pair()))))
    assert first.message == (
        "prefill exchanges KV blocks with workers on other nodes: its graph has 16 GPUs, "
        "and asks for no RDMA: what crosses nodes goes over TCP"
    )
    assert first.fix is not None
    assert '"8"' in first.fix


# network.transport


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, []),
        ({"UCX_TLS": "rc_x,rc,cuda_copy,cuda_ipc"}, []),
        ({"UCX_TLS": "all"}, []),
        ({"UCX_TLS": "tcp,cuda_copy"}, ["warn"]),
        ({"UCX_TLS": "^tcp"}, []),
        ({"UCX_TLS": "^ib"}, ["warn"]),
        ({"UCX_TLS": "^rc,dc,ud"}, ["warn"]),
        ({"UCX_TLS": "$(ELSEWHERE_SERVICE_HOST)"}, []),
        ({"NCCL_IB_DISABLE": "1"}, ["warn"]),
        ({"NCCL_IB_DISABLE": "0"}, []),
        ({"NCCL_NET": "Socket"}, ["warn"]),
    ],
)
def test_transport(tmp_path: Path, env: dict[str, str], expected: list[str]) -> None:
    assert outcomes(network.transport, tmp_path, spanning(limits=RDMA, env=env)) == expected


@pytest.mark.parametrize(("transports", "expected"), [("tcp", ["warn"]), ("rc,cuda_copy", [])])
def test_a_script_has_the_last_word(tmp_path: Path, transports: str, expected: list[str]) -> None:
    script = f"export UCX_TLS={transports}; exec python3 -m dynamo.vllm --model m"
    told = spanning(limits=RDMA, env={"UCX_TLS": "tcp"}, main={"command": ["sh", "-c"], "args": [script]})
    assert outcomes(network.transport, tmp_path, told) == expected


def test_collectives_within_a_node_need_no_network(tmp_path: Path) -> None:
    alone = engine(limits=RDMA, env={"NCCL_IB_DISABLE": "1"})
    assert outcomes(network.transport, tmp_path, alone) == []


def test_efa_is_not_for_ucx(tmp_path: Path) -> None:
    amazon = spanning(limits={"vpc.amazonaws.com/efa": "16"}, env={"UCX_TLS": "tcp,cuda_copy"})
    assert outcomes(network.transport, tmp_path, amazon) == []


def test_nothing_is_turned_off_where_nothing_is_asked(tmp_path: Path) -> None:
    slow = recipes(tmp_path, deploy=dump_objects(graph(engine(env={"UCX_TLS": "tcp"}))))
    assert "no worker asks" in get_skip_reason(network.transport, slow)


# network.ipc-lock


@pytest.mark.parametrize(
    ("main", "expected"),
    [
        ({}, ["warn"]),
        (LOCK, []),
        ({"securityContext": {"capabilities": {"add": ["ALL"]}}}, []),
        ({"securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}}}, ["warn"]),
        ({"securityContext": {"privileged": True}}, []),
    ],
)
def test_ipc_lock(tmp_path: Path, main: dict[str, Any], expected: list[str]) -> None:
    assert outcomes(network.ipc_lock, tmp_path, engine(limits=RDMA, main=main)) == expected


def test_without_devices_nothing_is_locked(tmp_path: Path) -> None:
    given = recipes(tmp_path, deploy=dump_objects(graph(engine())))
    assert "no worker asks" in get_skip_reason(network.ipc_lock, given)
