"""A cluster of 5,000 nodes and 20,000 pods, as big as Kubernetes says that clusters get."""

import gzip
import json
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.kube.servers import Request, items, reply, serve

NODES = 5_000
PODS = 20_000
PAGE = 500
LOOK = """
import json, sys, time
from dynocheck.kube import Cluster, find_connection
from tests.probes.looking import PROBES
name, kubeconfig = sys.argv[1:]
def peak():  # of this process: what getrusage tells starts at that of its parent
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
cluster = Cluster(find_connection(kubeconfig), timeout_s=60)
before, start = peak(), time.monotonic()
seen = PROBES[name](cluster)
wall = time.monotonic() - start
print(json.dumps({"count": len(seen), "wall_s": wall, "grown_mb": peak() - before}))
"""


def node(number: int, noise: random.Random) -> dict[str, Any]:
    """A GPU node of 24 kB, as the GPU Operator, node feature discovery and a kubelet leave it."""
    name = f"gpu-{number:04}"
    features = {f"feature.node.kubernetes.io/cpu-cpuid.F{i}": "true" for i in range(80)}
    gpu = {f"nvidia.com/gpu.label-{i}": f"value-{i}" for i in range(40)}
    names = [
        f"registry.example/team/app-{noise.random()}@sha256:{noise.randbytes(32).hex()}" for _ in range(50)
    ]
    images = [{"names": [each], "sizeBytes": noise.randrange(10**10)} for each in names]
    condition = {
        "status": "False",
        "reason": "Fine",
        "message": "kubelet is fine",
        "lastHeartbeatTime": "now",
    }
    kinds = ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")
    fields: dict[str, Any] = {f"f:{label}": {} for label in (*features, *gpu)}
    amounts = {"cpu": "192", "memory": "2113452Ki", "nvidia.com/gpu": "8", "rdma/hca": "8", "pods": "110"}
    return {
        "metadata": {
            "name": name,
            "uid": noise.randbytes(16).hex(),
            "labels": {"kubernetes.io/hostname": name, "nvidia.com/gpu.present": "true", **features, **gpu},
            "annotations": {"nfd.node.kubernetes.io/feature-labels": ",".join((*features, *gpu))},
            "managedFields": [{"manager": "nfd-master", "fieldsV1": {"f:metadata": {"f:labels": fields}}}],
        },
        "spec": {"taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}]},
        "status": {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [{"type": kind, **condition} for kind in kinds],
            "nodeInfo": {"architecture": "amd64"},
            "images": images,
        },
    }


def pod(number: int, noise: random.Random) -> dict[str, Any]:
    """A pod of 7 kB."""
    environment = [{"name": f"NAME_{i}", "value": noise.randbytes(12).hex()} for i in range(60)]
    container = {"name": "main", "image": "registry.example/app:1", "env": environment}
    fields: dict[str, Any] = {
        f"k:{each['name']}": {".": {}, "f:name": {}, "f:value": {}} for each in environment
    }
    return {
        "metadata": {
            "name": f"pod-{number}",
            "namespace": "default",
            "labels": {"app": "gpu-operator"},
            "managedFields": [{"manager": "kubelet", "fieldsV1": fields}],
        },
        "spec": {"containers": [container]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "main", "state": {"running": {"startedAt": "now"}}}],
        },
    }


@pytest.fixture(scope="module")
def pages() -> dict[str, list[bytes]]:
    """The answers to a list of either kind, compressed as an API server does."""
    noise = random.Random(0)
    made = {"/api/v1/nodes": (node, NODES), "/api/v1/pods": (pod, PODS)}
    return {path: list(_pages(make, count, noise)) for path, (make, count) in made.items()}


def _pages(make: Any, count: int, noise: random.Random) -> Iterator[bytes]:
    for start in range(0, count, PAGE):
        end = start + PAGE
        more = {"continue": str(end)} if end < count else {}
        content = json.dumps(items(*(make(number, noise) for number in range(start, end)), **more)).encode()
        yield reply(200, gzip.compress(content, 1), Content_Encoding="gzip")


@pytest.mark.verify
@pytest.mark.parametrize(
    ("probe", "count", "grown_mb"), [("nodes", NODES, 250), ("gpu_operator_pods", PODS, 150)]
)
def test_the_biggest_cluster_is_seen_in_time(
    pages: dict[str, list[bytes]], tmp_path: Path, probe: str, count: int, grown_mb: float
) -> None:
    def handle(request: Request, _: socket.socket) -> bytes:
        token = parse_qs(urlsplit(request.target).query).get("continue", ["0"])[0]
        return pages[request.path][int(token) // PAGE]

    with serve(handle) as server:
        command = [sys.executable, "-c", LOOK, probe, str(server.kubeconfig(tmp_path))]
        ended = subprocess.run(command, capture_output=True, check=True, timeout=120, text=True)
    found = json.loads(ended.stdout)
    print(found)
    assert found["count"] == count
    assert found["wall_s"] < 5, "half of the time that each look has by default"
    assert found["grown_mb"] < grown_mb
