"""Whether workers ask for the network that they need, and are left to use it."""

from pathlib import Path
from typing import Any

import pytest

from dynocheck.checks.network import transport as network
from tests.checks.judging import deploy, judge, run_check
from tests.checks.manifests import engine, graph

RDMA = {"rdma/ib": "8"}
EFA = {"vpc.amazonaws.com/efa": "16"}
NODE = "kubernetes.io/hostname"
NEAR = {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": NODE, "labelSelector": {}}]}
Component = dict[str, Any]


def pair(gpus: int = 8, **more: Any) -> list[Component]:
    return [engine(name=part, role=part, gpus=gpus, **more) for part in ("prefill", "decode")]


def spanning(**more: Any) -> Component:
    return engine(gpus=8, multinode={"nodeCount": 2}, **more)


# network.rdma-requested


@pytest.mark.parametrize(
    ("components", "expected"),
    [
        ([spanning()], ["warn"]),
        ([spanning(limits=RDMA)], []),
        ([spanning(limits=EFA)], []),
        ([spanning(limits={"example.com/our-nics": "8"})], ["unjudged"]),
        ([spanning(pod={"hostNetwork": True})], []),
        ([spanning(main={"securityContext": {"privileged": True}})], []),
        ([spanning(pod={"volumes": [{"name": "i", "hostPath": {"path": "/dev/infiniband"}}]})], []),
        ([spanning(pod={"resourceClaims": [{"name": "compute-domain-channel"}]})], []),
        (pair(), ["warn", "warn"]),
        (pair(limits=RDMA), []),
        (pair(pod={"nodeSelector": {NODE: "n"}}), ["skip"]),
        (pair(pod={"affinity": {"podAffinity": NEAR}}), ["skip"]),
        (pair(gpus=4), ["skip"]),
        ([engine(gpus=8, replicas=4)], ["skip"]),
    ],
)
def test_rdma_requested(tmp_path: Path, components: list[Component], expected: list[str]) -> None:
    assert judge(network.rdma_requested, deploy(tmp_path, graph(*components))) == expected


def test_the_fix_asks_for_a_device_a_gpu(tmp_path: Path) -> None:
    first, _ = run_check(network.rdma_requested, deploy(tmp_path, graph(*pair())))
    assert '"8"' in (first.fix or "")


# network.transport


def scripted(transports: str) -> Component:
    """A worker whose script has the last word on the transports."""
    script = f"export UCX_TLS={transports}; exec python3 -m dynamo.vllm --model m"
    return spanning(limits=RDMA, env={"UCX_TLS": "tcp"}, main={"command": ["sh", "-c"], "args": [script]})


@pytest.mark.parametrize(
    ("component", "expected"),
    [
        *[
            (spanning(limits=RDMA, env=env), expected)
            for env, expected in [
                ({}, []),
                ({"UCX_TLS": "rc_x,rc,cuda_copy,cuda_ipc"}, []),
                ({"UCX_TLS": "all"}, []),
                ({"UCX_TLS": "rc,sm,self,tcp"}, ["warn"]),  # knows no GPU memory
                ({"UCX_TLS": "^cuda_copy"}, ["warn"]),
                ({"UCX_TLS": "^cuda_ipc"}, []),
                ({"UCX_TLS": "tcp,cuda_copy"}, ["warn"]),
                ({"UCX_TLS": "^tcp"}, []),
                ({"UCX_TLS": "^ib"}, ["warn"]),
                ({"UCX_TLS": "^rc,dc,ud"}, ["warn"]),
                ({"UCX_TLS": "$(ELSEWHERE_SERVICE_HOST)"}, []),
                ({"NCCL_IB_DISABLE": "1"}, ["warn"]),
                ({"NCCL_IB_DISABLE": "0"}, []),
                ({"NCCL_NET": "Socket"}, ["warn"]),
            ]
        ],
        (scripted("tcp"), ["warn"]),
        (scripted("rc,cuda_copy"), []),
        (engine(limits=RDMA, env={"NCCL_IB_DISABLE": "1"}), []),  # collectives within a node need no network
        (spanning(limits=EFA, env={"UCX_TLS": "tcp,cuda_copy"}), []),  # UCX does not use EFA
        (engine(env={"UCX_TLS": "tcp"}), ["skip"]),
    ],
)
def test_transport(tmp_path: Path, component: Component, expected: list[str]) -> None:
    assert judge(network.transport, deploy(tmp_path, graph(component))) == expected


NIXL = '--kv-transfer-config={"kv_connector":"NixlConnector","kv_role":"kv_both"}'
OTHERWISE = (
    '--kv-transfer-config={"kv_connector":"NixlConnector",'
    '"kv_connector_extra_config":{"backends":["LIBFABRIC"]}}'
)
BY_HOST = '--kv-transfer-config={"kv_connector":"NixlConnector","kv_buffer_device":"cpu"}'


@pytest.mark.parametrize(
    ("module", "args", "transports", "expected"),
    [
        ("vllm", [NIXL], "tcp", ["warn", "warn"]),
        ("vllm", [NIXL], "tcp,cuda_copy", []),
        ("vllm", [BY_HOST], "tcp", ["skip"]),
        ("vllm", [BY_HOST.replace("cpu", "cuda")], "tcp", ["warn", "warn"]),
        ("vllm", [OTHERWISE], "tcp", ["skip"]),
        ("vllm", [], "tcp", ["skip"]),
        ("sglang", ["--disaggregation-transfer-backend", "nixl"], "tcp", ["warn", "warn"]),
        ("sglang", [], "tcp", ["skip"]),  # Mooncake does not use UCX
    ],
)
def test_gpu_memory_is_moved_without_rdma_too(
    tmp_path: Path, module: str, args: list[str], transports: str, expected: list[str]
) -> None:
    sides = [
        engine(*args, name=part, role=part, module=f"dynamo.{module}", env={"UCX_TLS": transports})
        for part in ("prefill", "decode")
    ]
    assert judge(network.transport, deploy(tmp_path, graph(*sides))) == expected


# network.ipc-lock


@pytest.mark.parametrize(
    ("limits", "security", "expected"),
    [
        (RDMA, {}, ["warn"]),
        (RDMA, {"capabilities": {"add": ["IPC_LOCK"]}}, []),
        (RDMA, {"capabilities": {"add": ["ALL"]}}, []),
        (RDMA, {"capabilities": {"add": ["SYS_PTRACE"]}}, ["warn"]),
        (RDMA, {"privileged": True}, []),
        ({}, {}, ["skip"]),  # without devices nothing is locked
    ],
)
def test_ipc_lock(
    tmp_path: Path, limits: dict[str, str], security: dict[str, Any], expected: list[str]
) -> None:
    component = engine(limits=limits, main={"securityContext": security})
    assert judge(network.ipc_lock, deploy(tmp_path, graph(component))) == expected
